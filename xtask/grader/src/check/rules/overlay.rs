//! Exercise `overlay`: what one run writes is gone before the next.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::*;
use crate::check::directory::tree;

/// Where a file is written, if the rootfs has the directory.
const DIRECTORIES: [&str; 5] = ["", "tmp", "etc", "bin", "var"];

pub fn what_it_writes_is_gone(sandbox: &Sandbox) -> Checked {
    the_kernel_has_overlays(sandbox)?;
    let rootfs = sandbox.directory.join("rootfs");
    let name = sandbox.draw.word();
    let (file, directory) = victims(&rootfs)?;
    a_tmpfs_keeps_the_marks(sandbox, &directory)?;
    let (evidence, (refused, other)) = observe_more(sandbox, &Invocation::default(), |command| {
        let root = sandbox.host.file(command.pid(), "root")?;
        let refused = write_and_delete(&root, &rootfs, &name, &file, &directory);
        Ok((refused, Some(look(sandbox, &name)?)))
    })?;
    let mounts = &evidence.command()?.own_mounts;
    if let Some((diagnosis, seen)) = refused {
        return Err(failure(diagnosis, seen, "files that can be written, deleted and created in `/`"));
    }
    let changed: Vec<_> = evidence.changes.in_rootfs(&sandbox.directory).map(|it| it.display().to_string()).collect();
    let seen = format!("changed in ./rootfs after the run: {}", shorten(&changed.join(", ")));
    require!(changed.is_empty(), RootfsChanged, "./rootfs unchanged", "{seen}");
    let seen = format!("while one container ran, another found file {name}, which the first had written");
    require!(other != Some(Ok(true)), RootfsChanged, "a separate upper layer for each run", "{seen}");
    if let Some(Err(why)) = other {
        return Err(fail!(NeverRan, "a second container at the same time", "{why}"));
    }
    match look(sandbox, &name)? {
        Ok(false) => {}
        Ok(true) => {
            let seen = format!("one run wrote file {name}, and the next run found it");
            return Err(fail!(RootfsChanged, "no trace of the first run", "{seen}"));
        }
        Err(why) => return Err(fail!(NeverRan, "a second run like the first", "{why}")),
    }
    let upper = layers(mounts, "upperdir=").map(|upper| sandbox.directory.join(upper).join(&name));
    let find = |top: &PathBuf| tree(top).into_iter().find(|it| it.ends_with(&name)).map(|it| top.join(it));
    let temporary = || evidence.changes.temporary.iter().find_map(find);
    if let Some(left) = upper.into_iter().find(|it| it.exists()).or_else(temporary) {
        let _ = fs::remove_file(&left);
        let left = left.display();
        let seen = format!("file {name}, which was written in the container, is still on the host: {left}");
        return Err(fail!(UpperLeft, "no trace of the run", "{seen}"));
    }
    // Other programs also use the directories for temporary files, so only the overlay's own directories count.
    let is_new = |it: &PathBuf| evidence.changes.temporary.iter().any(|new| it.starts_with(new)) && it.exists();
    let mut layers = layers(mounts, "upperdir=").chain(layers(mounts, "workdir=")).map(Path::to_owned);
    let Some(left) = layers.find(is_new) else { return Ok(()) };
    let seen = format!("after the run, a directory of the overlay is still on the host: {}", left.display());
    Err(fail!(UpperLeft, "no trace of the run", "{seen}"))
}

/// Writes a file in several directories, deletes a file of the rootfs, and deletes and recreates a directory. Returns the first
/// refusal.
fn write_and_delete(
    root: &OwnedFd,
    rootfs: &Path,
    name: &str,
    file: &Path,
    directory: &Path,
) -> Option<(Diagnosis, String)> {
    let refused = |diagnosis, what: &str, path: &Path, errno: Errno| {
        Some((diagnosis, format!("{what} /{}: {errno}", path.display())))
    };
    for directory in DIRECTORIES.iter().filter(|it| rootfs.join(it).is_dir()) {
        let path = Path::new(directory).join(name);
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        if let Err(errno) = openat(root, &path, flags, Mode::from_bits_truncate(0o644)) {
            return refused(Diagnosis::RootfsReadOnly, "writing", &path, errno);
        }
    }
    if let Err(errno) = unlinkat(root, file, UnlinkatFlags::NoRemoveDir) {
        return refused(Diagnosis::DeletedFilesReturn, "deleting", file, errno);
    }
    if let Err(errno) = delete_and_recreate(root, rootfs, directory) {
        return refused(Diagnosis::DeletedFilesReturn, "deleting and recreating the directory", directory, errno);
    }
    let is_back = openat(root, file, OFlag::O_PATH, Mode::empty()).is_ok();
    is_back.then(|| (Diagnosis::DeletedFilesReturn, format!("/{} was deleted, but still exists", file.display())))
}

/// Deletes a directory that contains only files, and creates it again. An overlay has to mark the new one, or the files of the
/// layer below would show in it.
fn delete_and_recreate(root: &OwnedFd, rootfs: &Path, directory: &Path) -> nix::Result<()> {
    for entry in fs::read_dir(rootfs.join(directory)).into_iter().flatten().flatten() {
        unlinkat(root, &directory.join(entry.file_name()), UnlinkatFlags::NoRemoveDir)?;
    }
    unlinkat(root, directory, UnlinkatFlags::RemoveDir)?;
    mkdirat(root, directory, Mode::from_bits_truncate(0o755))
}

/// Returns a file of the rootfs, and a directory elsewhere that contains only a few files.
fn victims(rootfs: &Path) -> Result<(PathBuf, PathBuf)> {
    const FEW: usize = 20;
    let (mut files, mut leaves) = (Vec::new(), Vec::new());
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let path = rootfs.join(&directory);
        let entries: Vec<_> =
            fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?.flatten().collect();
        let (inner, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        if inner.is_empty() && others.len() <= FEW {
            leaves.push(directory.clone());
        }
        files.extend(others.iter().map(|it| directory.join(it.file_name())));
        directories.extend(inner.iter().map(|it| directory.join(it.file_name())));
    }
    let leaf = leaves.into_iter().find(|it| !DIRECTORIES.iter().any(|written| Path::new(written) == it));
    let leaf = leaf.context("./rootfs has no directory to delete")?;
    let file = files.into_iter().find(|it| !it.starts_with(&leaf)).context("./rootfs has no file to delete")?;
    Ok((file, leaf))
}

/// Runs another container, and returns whether a file of that name is in it, or why it didn't run.
fn look(sandbox: &Sandbox, name: &str) -> Checked<Result<bool, String>> {
    in_another_container(sandbox, |command| {
        let open = |directory: &&str| {
            let path = Path::new(directory).join(name);
            sandbox.host.open_inside(command.pid, &path.to_string_lossy(), OFlag::O_PATH).is_ok()
        };
        Ok(DIRECTORIES.iter().any(open))
    })
}

/// Returns the paths that the overlays among these mounts were given with a mount option.
fn layers<'a>(mounts: &'a [Mount], option: &'static str) -> impl Iterator<Item = &'a Path> {
    let overlays = mounts.iter().filter(|mount| mount.kind == "overlay");
    overlays.flat_map(|it| it.super_options.split(',')).filter_map(move |it| it.strip_prefix(option)).map(Path::new)
}

/// Checks that the kernel mounts an overlay on ./rootfs.
pub fn the_kernel_has_overlays(sandbox: &Sandbox) -> Checked {
    let cure = "In a user namespace this needs Linux 5.11: use root, or a newer kernel.";
    try_overlay(sandbox, |_| Ok(()))?
        .map_err(|errno| cannot_run(format!("the kernel refuses an overlay: {errno}"), cure))
}

/// Checks that a directory can be deleted and recreated in an overlay on ./rootfs whose upper layer is a tmpfs.
fn a_tmpfs_keeps_the_marks(sandbox: &Sandbox, directory: &Path) -> Checked {
    let rootfs = sandbox.directory.join("rootfs");
    let cure = "In a user namespace this needs Linux 6.6: use root, or a newer kernel.";
    try_overlay(sandbox, |root| delete_and_recreate(root, &rootfs, directory))?
        .map_err(|errno| cannot_run(format!("an overlay can't replace a directory: {errno}"), cure))
}

/// Mounts an overlay on ./rootfs with each kind of mark, the upper layer on a tmpfs, until `action` succeeds in it. Returns the
/// last error.
fn try_overlay(sandbox: &Sandbox, action: impl Fn(&OwnedFd) -> nix::Result<()>) -> Result<nix::Result<()>> {
    let mut result = Ok(());
    for option in [",userxattr", ""] {
        let scratch = sandbox.scratch()?;
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| scratch.path.join(name));
        for directory in [&upper, &work, &merged] {
            fs::create_dir(directory).context("mkdir on the throwaway host")?;
        }
        let data = format!("lowerdir=rootfs,upperdir={},workdir={}{option}", upper.display(), work.display());
        std::env::set_current_dir(&sandbox.directory).context("chdir")?;
        let mounted = mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(data.as_str()));
        std::env::set_current_dir("/").context("chdir")?;
        result = mounted.and_then(|()| {
            let result = open(&merged, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).and_then(|root| action(&root));
            umount2(&merged, MntFlags::MNT_DETACH)?;
            result
        });
        if result.is_ok() {
            break;
        }
    }
    Ok(result)
}
