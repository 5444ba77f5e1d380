//! The container's files: mounts, devices, and what is hidden or read-only. In here, `/x` is the container's and `x` the host's.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::symlinkat;
use serde_json::Value;

use crate::container::{has_cgroup2, list, text};

/// The options that are flags of mount(2). All others are the file system's.
const FLAGS: [(&str, MsFlags); 10] = [
    ("bind", MsFlags::MS_BIND),
    ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC)),
    ("ro", MsFlags::MS_RDONLY),
    ("nosuid", MsFlags::MS_NOSUID),
    ("nodev", MsFlags::MS_NODEV),
    ("noexec", MsFlags::MS_NOEXEC),
    ("noatime", MsFlags::MS_NOATIME),
    ("relatime", MsFlags::MS_RELATIME),
    ("strictatime", MsFlags::MS_STRICTATIME),
    ("sync", MsFlags::MS_SYNCHRONOUS),
];
/// The options that name a propagation.
const PROPAGATION: [(&str, MsFlags); 8] = [
    ("private", MsFlags::MS_PRIVATE),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC)),
    ("slave", MsFlags::MS_SLAVE),
    ("rslave", MsFlags::MS_SLAVE.union(MsFlags::MS_REC)),
    ("shared", MsFlags::MS_SHARED),
    ("rshared", MsFlags::MS_SHARED.union(MsFlags::MS_REC)),
    ("unbindable", MsFlags::MS_UNBINDABLE),
    ("runbindable", MsFlags::MS_UNBINDABLE.union(MsFlags::MS_REC)),
];
/// The defaults, and tmpcopyup, which would copy what the new file system hides.
const NO_FLAGS: [&str; 6] = ["defaults", "rw", "suid", "dev", "exec", "tmpcopyup"];

/// The devices that every container has, with their numbers: null(4), full(4), random(4), tty(4).
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// The links that every container has: their targets and names.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Opens a file in the container, if it exists. Links lead to the container's files, except the links of /proc, which lead to
/// wherever a process has something open: those are refused.
pub fn open_inside(path: &Path) -> nix::Result<File> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, path, how).map(File::from)
}

/// The same, and makes what is missing: directories, and at the end a directory or an empty file.
fn make_inside(path: &Path, is_directory: bool) -> Result<File> {
    let (mut so_far, mut parent) = (PathBuf::from("/"), open_inside(Path::new("/"))?);
    let mut names = path.components().filter(|it| matches!(it, Component::Normal(_))).peekable();
    while let Some(name) = names.next() {
        so_far.push(name);
        let name = name.as_os_str();
        let mut found = open_inside(&so_far);
        if found.as_ref().is_err_and(|error| *error == Errno::ENOENT) {
            match is_directory || names.peek().is_some() {
                true => mkdirat(&parent, name, Mode::from_bits_truncate(0o755)),
                false => {
                    openat(&parent, name, OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC, mode(0o644)).map(drop)
                }
            }
            .with_context(|| format!("making {so_far:?}, a mount point"))?;
            found = open_inside(&so_far);
        }
        parent = found.with_context(|| format!("openat2({so_far:?}, RESOLVE_NO_MAGICLINKS)"))?;
    }
    Ok(parent)
}

fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits)
}

/// Returns the name of an open file in the host's /proc.
fn by_descriptor(file: &File) -> PathBuf {
    format!("proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Returns the source of each bind mount, without the links in it, which would be followed in the container.
pub fn sources(config: &Value, bundle: &Path) -> Result<Vec<Option<PathBuf>>> {
    let resolve = |it: &Value| {
        let path = bundle.join(text(it, "/source").filter(|_| is_bind(it))?);
        let path = path.canonicalize().with_context(|| format!("realpath({path:?})"));
        Some(path.map(|path| path.strip_prefix("/").unwrap_or(&path).to_owned()))
    };
    list(config, "/mounts").map(|it| resolve(it).transpose()).collect()
}

fn is_bind(mount: &Value) -> bool {
    text(mount, "/type") == Some("bind") || list(mount, "/options").any(|it| it == "bind" || it == "rbind")
}

/// True for a read-only file system that is empty at first. Mount points and devices are made in it, as in podman's /dev for Pods.
fn is_protected_later(mount: &Value) -> bool {
    text(mount, "/type") == Some("tmpfs") && !is_bind(mount) && list(mount, "/options").any(|it| it == "ro")
}

/// Makes one of the mounts in config.json.
pub fn attach(it: &Value, source: Option<PathBuf>) -> Result<()> {
    let to = Path::new(text(it, "/destination").context("a mount in config.json has no destination")?);
    let (mut flags, mut propagation, mut data) = (MsFlags::empty(), Vec::new(), Vec::new());
    for option in list(it, "/options").filter_map(Value::as_str).filter(|it| !NO_FLAGS.contains(it)) {
        let find = |known: &[(&str, MsFlags)]| known.iter().find(|(name, _)| *name == option).map(|(_, flag)| *flag);
        match (find(&FLAGS), find(&PROPAGATION)) {
            (Some(flag), _) => flags |= flag,
            (_, Some(kind)) => propagation.push(kind),
            _ => data.push(option),
        }
    }
    let kind = text(it, "/type").unwrap_or("bind");
    if let Some(source) = source {
        ensure!(data.is_empty(), "the bind mount at {to:?} has the unknown option {:?}", data[0]);
        bind(&source, to, flags)?;
    } else if kind == "cgroup" && !has_cgroup2(Path::new("sys/fs/cgroup")) {
        // The first version has a tree for each controller. An empty directory shows none of the host's.
        mount_new("tmpfs", "tmpfs", to, flags, "mode=755")?;
    } else if kind == "cgroup" {
        // An ordinary user may not, unless the cgroup namespace is new.
        mount_new("cgroup2", "cgroup2", to, flags, "").or_else(|_| bind(Path::new("sys/fs/cgroup"), to, flags))?;
    } else {
        let flags = if is_protected_later(it) { flags - MsFlags::MS_RDONLY } else { flags };
        mount_new(text(it, "/source").unwrap_or(kind), kind, to, flags, &data.join(","))?;
    }
    for kind in propagation {
        let target = open_inside(to).with_context(|| format!("openat2({to:?})"))?;
        mount(None::<&str>, &by_descriptor(&target), None::<&str>, kind, None::<&str>)
            .with_context(|| format!("mount(NULL, {to:?}, NULL, {kind:?}, NULL)"))?;
    }
    Ok(())
}

/// Mounts a new file system. Its source is only a name, which mountinfo shows.
fn mount_new(source: &str, kind: &str, to: &Path, flags: MsFlags, data: &str) -> Result<()> {
    let target = make_inside(to, true)?;
    mount(Some(source), &by_descriptor(&target), Some(kind), flags, Some(data))
        .with_context(|| format!("mount({source:?}, {to:?}, {kind:?}, {flags:?}, {data:?})"))
}

/// Shows a file or directory of the host in the container.
fn bind(source: &Path, to: &Path, flags: MsFlags) -> Result<()> {
    let how = MsFlags::MS_BIND | (flags & MsFlags::MS_REC);
    let target = make_inside(to, source.is_dir())?;
    mount(Some(source), &by_descriptor(&target), None::<&str>, how, None::<&str>)
        .with_context(|| format!("mount(\"/{}\", {to:?}, NULL, {how:?}, NULL)", source.display()))?;
    // The call above ignores all other flags.
    let flags = flags.difference(MsFlags::MS_BIND | MsFlags::MS_REC);
    if flags.is_empty() { Ok(()) } else { remount(to, flags) }
}

/// Adds flags to the mount at a path.
fn remount(at: &Path, flags: MsFlags) -> Result<()> {
    let file = open_inside(at).with_context(|| format!("openat2({at:?})"))?;
    // In a user namespace, those that it has already can't be taken away: mount_namespaces(7).
    let has = fstatvfs(&file).with_context(|| format!("fstatvfs({at:?})"))?.flags().bits();
    let locked = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags | (MsFlags::from_bits_truncate(has) & locked);
    let target = if at == Path::new("/") { "/".into() } else { by_descriptor(&file) };
    mount(None::<&str>, &target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("mount(NULL, {at:?}, NULL, {flags:?}, NULL)"))
}

/// Makes the devices and links in /dev, if config.json mounts a new file system there.
pub fn make_devices(config: &Value) -> Result<()> {
    if !list(config, "/mounts").any(|it| text(it, "/destination") == Some("/dev") && !is_bind(it)) {
        return Ok(());
    }
    let dev = open_inside(Path::new("/dev")).context("openat2(\"/dev\")")?;
    for (name, major, minor) in DEVICES {
        match mknodat(&dev, name, SFlag::S_IFCHR, mode(0o666), makedev(major, minor)) {
            // In a user namespace nobody may make a device, but the host's can be shown.
            Err(Errno::EPERM) => bind(&Path::new("dev").join(name), &Path::new("/dev").join(name), MsFlags::empty())?,
            result => result.with_context(|| format!("mknod(\"/dev/{name}\")"))?,
        }
    }
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).with_context(|| format!("symlink({target:?}, \"/dev/{name}\")"))?;
    }
    Ok(())
}

/// Shows the terminal as /dev/console.
pub fn attach_console(terminal: &File) -> Result<()> {
    bind(&by_descriptor(terminal), Path::new("/dev/console"), MsFlags::empty())
}

/// Hides what config.json masks, and write-protects what should be read-only. What doesn't exist needs neither.
pub fn protect(config: &Value) -> Result<()> {
    for mount in list(config, "/mounts").filter(|it| is_protected_later(it)) {
        remount(Path::new(text(mount, "/destination").unwrap_or("/")), MsFlags::MS_RDONLY)?;
    }
    for path in list(config, "/linux/maskedPaths").filter_map(Value::as_str).map(Path::new) {
        match open_inside(path) {
            Ok(file) if file.metadata()?.is_dir() => mount_new("tmpfs", "tmpfs", path, MsFlags::MS_RDONLY, "")?,
            // Read-only, because chmod would change the host's.
            Ok(_) => bind(Path::new("dev/null"), path, MsFlags::MS_RDONLY)?,
            Err(_) => {}
        }
    }
    for path in list(config, "/linux/readonlyPaths").filter_map(Value::as_str).map(Path::new) {
        if let Ok(file) = open_inside(path) {
            bind(&by_descriptor(&file), path, MsFlags::MS_REC | MsFlags::MS_RDONLY)?;
        }
    }
    Ok(())
}

/// Makes the container's root read-only, if config.json asks for that.
pub fn protect_root(config: &Value) -> Result<()> {
    match config.pointer("/root/readonly") {
        Some(Value::Bool(true)) => remount(Path::new("/"), MsFlags::MS_RDONLY),
        _ => Ok(()),
    }
}
