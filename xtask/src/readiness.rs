//! Whether a step can run here, and how. `run` acts on the answer and `doctor` prints it, so they can't disagree.

use anyhow::{Result, bail};
use lab::privilege::{self, Choice, Privilege};
use lab::steps::Step;
use lab::{rootfs, workspace};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Decides how a step gets its rights here. `request` leaves only that way.
///
/// # Errors
/// When the step can't run: the error names the cause, and what to do.
pub fn of(step: &Step, request: Option<Privilege>) -> Result<Choice> {
    if step.needs_rootfs() {
        let rootfs = workspace::rootfs();
        if let Some(flaw) = rootfs::flaw(&rootfs) {
            bail!("./rootfs {flaw}: `cargo xtask rootfs --force` makes it again");
        }
        // Before it is made, its directory tells.
        let place = if rootfs.exists() { rootfs.as_path() } else { workspace::root() };
        if statvfs(place).is_ok_and(|it| it.flags().contains(FsFlags::ST_NOEXEC)) {
            bail!(
                "no program in ./rootfs can run, because {} is mounted noexec: copy the repository elsewhere",
                place.display()
            );
        }
    }
    privilege::choose(&privilege::ways_to_run(), request, step.number)
}
