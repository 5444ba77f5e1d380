//! Where `./rootfs` comes from: Alpine's minirootfs, a busybox, this machine's own programs, or a tarball or directory.
//!
//! A rootfs is made next to its goal, inspected, and moved there by rename(2). Whatever happens meanwhile, such as Ctrl-C or a full
//! disk, there is the old rootfs or none. A stamp inside names the source; a rootfs without a stamp is someone's own work.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::stat::{Mode, umask};

use crate::workspace;
use remove::refuse_mounts;

mod alpine;
mod archive;
mod directory;
mod inspect;
mod local;
mod remove;
mod source;
mod target;

pub use inspect::{flaw, is_missing, is_noexec};
pub use remove::remove;
pub use source::Source;

/// The stamp's path in a rootfs.
const STAMP: &str = "etc/mini-docker";

/// The options of `xtask rootfs`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The only source to use; `None` tries Alpine, busybox and host in this order.
    pub source: Option<Source>,
    /// Another server of Alpine's releases, such as `https://mirror.example.org/alpine`.
    pub mirror: Option<String>,
    /// The SHA-512 to expect instead of the pinned one, in hexadecimal.
    pub sha512: Option<String>,
    /// Replace a rootfs that exists, even if xtask didn't create it.
    pub force: bool,
    /// Where to make it; `None` means `./rootfs`.
    pub to: Option<PathBuf>,
}

/// `cargo xtask rootfs`: makes a rootfs, or reports that it exists.
pub fn run(options: &Options) -> Result<ExitCode> {
    let goal = options.to.clone().unwrap_or_else(workspace::rootfs);
    make(&std::path::absolute(goal)?, options)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes `./rootfs` if it is missing. [`flaw`] returns what is wrong with one that exists.
pub fn ensure() -> Result<()> {
    let goal = workspace::rootfs();
    if is_missing(&goal) { make(&goal, &Options::default()) } else { Ok(()) }
}

/// The variable in which `cargo xtask test --source` names the directory whose `rootfs/` the tests use.
pub const TEST_DIRECTORY: &str = "MINI_DOCKER_TEST_DIRECTORY";

/// Returns the directory that tests run in, with a pristine `rootfs/` in it.
pub fn test_directory() -> Result<PathBuf> {
    let directory = env::var_os(TEST_DIRECTORY).map(|it| Ok(it.into()));
    let directory: PathBuf = directory.unwrap_or_else(|| crate::target::test_directory("any"))?;
    if directory.join("rootfs").symlink_metadata().is_err() {
        // An archive has one already, which needs no network.
        let source = workspace::IS_ARCHIVE.then(|| Source::Path(workspace::rootfs()));
        make(&directory.join("rootfs"), &Options { source, ..Options::default() })?;
    }
    Ok(directory)
}

/// Returns what `goal` was made from, if xtask made it.
pub fn stamp(goal: &Path) -> Option<String> {
    let stamp = goal.join(STAMP);
    let is_ours = stamp.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    is_ours.then(|| fs::read_to_string(&stamp).ok()).flatten().map(|text| text.trim().to_owned())
}

/// Makes a rootfs at `goal`. Fails if no source is available, or if `goal` exists and wasn't created by xtask.
pub fn make(goal: &Path, options: &Options) -> Result<()> {
    let goal = &behind_link(goal)?;
    let parent = goal.parent().context("a rootfs has a parent directory")?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let _lock = lock(&parent.join(".rootfs.lock"))?;

    let old = parent.join(format!(".rootfs.old.{}", goal.file_name().unwrap_or_default().display()));
    if old.exists() && goal.symlink_metadata().is_err() {
        // An earlier run was killed between its two renames.
        fs::rename(&old, goal).with_context(|| format!("moving {} back", old.display()))?;
    }
    // Remove what other interrupted runs left, as far as possible.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.path() == old || entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes()) {
            let _ = remove(&entry.path());
        }
    }
    if !options.force && !is_missing(goal) {
        let Some(stamp) = stamp(goal) else {
            bail!("{} exists and wasn't created by xtask; use --force to replace it", goal.display());
        };
        // Any source will do unless one was named.
        if options.source.as_ref().is_none_or(|source| stamp == source.to_string()) {
            eprintln!("rootfs: {} exists, made from {stamp} (--force rebuilds it)", goal.display());
            return Ok(());
        }
    }
    ensure!(!is_noexec(parent), "{} is on a file system that is mounted noexec: use --to", parent.display());

    // Its own name for each run, because a program that a killed run started may still be writing.
    let work = parent.join(format!("{NEW}{}", std::process::id()));
    let start = Instant::now();
    DirBuilder::new().mode(0o700).create(&work).with_context(|| format!("creating {}", work.display()))?;
    let new = work.join("rootfs");
    // Other users may run in root's rootfs, so it must not have the modes of root's secrets.
    let usual = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let made = source::fill_from_first(&new, options).and_then(|source| write_stamp(&new, &source).map(|()| source));
    umask(usual);
    let made = made.and_then(|source| replace(goal, &new, &old).map(|()| source));
    let tidy = remove(&work);
    eprintln!("rootfs: made {} from {} in {:.1} s", goal.display(), made?, start.elapsed().as_secs_f64());
    tidy.and_then(|()| remove(&old))
}

/// Returns the directory that `goal` leads to if it is a link, which may lead to a larger disk. The link stays.
fn behind_link(goal: &Path) -> Result<PathBuf> {
    let Ok(to) = fs::read_link(goal) else { return Ok(goal.to_owned()) };
    let link = format!("{} is a link to {}", goal.display(), to.display());
    let target = goal.canonicalize().with_context(|| format!("{link}: create that directory or remove the link"))?;
    // Even --force doesn't replace anyone's work in another place.
    let is_ours = is_missing(&target) || stamp(&target).is_some();
    ensure!(is_ours, "{link}, which wasn't created by xtask: remove the link");
    Ok(target)
}

/// The beginning of the name of the directory in which a rootfs is made, next to its goal.
const NEW: &str = ".rootfs.new.";

/// Moves `goal` to `old`, and `new` to `goal`. When the second move fails, the first is undone.
fn replace(goal: &Path, new: &Path, old: &Path) -> Result<()> {
    if goal.symlink_metadata().is_ok() {
        if goal.is_dir() {
            refuse_mounts(goal)?;
        }
        fs::rename(goal, old).with_context(|| format!("moving the old {} away", goal.display()))?;
    }
    let moved = fs::rename(new, goal).inspect_err(|_| drop(fs::rename(old, goal)));
    moved.with_context(|| format!("moving the new rootfs to {}", goal.display()))
}

/// Stamps a rootfs. The source may have a link in that place, which must not be followed.
fn write_stamp(new: &Path, source: &Source) -> Result<()> {
    let (stamp, etc) = (new.join(STAMP), new.join("etc"));
    let mode = etc.metadata()?.permissions().mode();
    fs::set_permissions(etc, Permissions::from_mode(mode | 0o700))?;
    if stamp.symlink_metadata().is_ok() {
        fs::remove_file(&stamp).context("removing a stamp that was in the source")?;
    }
    File::create_new(&stamp).and_then(|mut file| writeln!(file, "{source}")).context("stamping the rootfs")
}

/// Holds `path` locked until the file is dropped, or its process dies.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("rootfs: waiting for another xtask that is making one");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

/// Explains why a program couldn't be started.
fn not_started(error: io::Error, program: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow!("there is no {program} on this machine"),
        _ => anyhow::Error::new(error).context(program.to_owned()),
    }
}
