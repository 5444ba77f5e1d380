//! Decides whether a step can run here, and how. `run` acts on the answer and `doctor` prints it, so they can't disagree.

use anyhow::{Result, bail};
use lab::choice::Choice;
use lab::privilege::Privilege;
use lab::steps::Step;
use lab::{choice, rootfs, workspace};
use nix::unistd::{AccessFlags, access};

/// Decides how a step gets its rights here. A `request` allows only that way.
///
/// # Errors
/// When the step can't run: the error names the cause, and what to do.
pub fn of(step: &Step, request: Option<Privilege>) -> Result<Choice> {
    if step.needs_rootfs()
        && let Some(obstacle) = rootfs_obstacle()
    {
        bail!("{obstacle}");
    }
    choice::choose(&choice::ways_to_run(), request, step.number)
}

/// Returns what keeps a step from running in ./rootfs, and what to do: something is wrong with it, or it is missing and can't
/// be made.
pub fn rootfs_obstacle() -> Option<String> {
    let (rootfs, root) = (workspace::rootfs(), workspace::root());
    let elsewhere = "copy the repository elsewhere";
    if !rootfs::is_missing(&rootfs) {
        let flaw = rootfs::flaw(&rootfs)?;
        let cure = match () {
            () if rootfs::is_noexec(&rootfs) => elsewhere,
            () if rootfs::stamp(&rootfs).is_some() => "`cargo xtask rootfs --force` rebuilds it",
            () => "it wasn't created by xtask; move it away, or replace it with `cargo xtask rootfs --force`",
        };
        return Some(format!("./rootfs {flaw}: {cure}"));
    }
    let why = match () {
        () if rootfs::is_noexec(root) => "is on a file system that is mounted noexec",
        () if access(root, AccessFlags::W_OK).is_err() => "can't be written to",
        () => return None,
    };
    Some(format!("./rootfs can't be made, because {} {why}: {elsewhere}", root.display()))
}
