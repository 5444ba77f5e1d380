//! Removes a rootfs, whatever was done to it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use duct::cmd;

use super::archive::last_line;
use super::inspect::is_directory;
use crate::mountinfo;

/// Removes a rootfs, or what is left of one, if it exists. Directories in it may lack every permission, and may be deeper than
/// a path can be long, which rm(1) can remove.
///
/// # Errors
/// If something is mounted in it, or another user made it.
pub fn remove(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let context = || format!("removing {0}: if root made it, `sudo rm -r {0}`", path.display());
    if is_directory(path) {
        refuse_mounts(path)?;
        let allow = cmd!("find", path, "-type", "d", "!", "-perm", "-700", "-exec", "chmod", "u+rwx", "{}", ";");
        let _ = allow.stdin_null().stdout_null().stderr_null().unchecked().run();
    }
    match cmd!("rm", "-rf", path).stdin_null().stderr_capture().unchecked().run() {
        Err(error) if error.kind() == ErrorKind::NotFound => fs::remove_dir_all(path).with_context(context),
        output => {
            let output = output.with_context(context)?;
            ensure!(output.status.success(), "{}: {}", context(), last_line(&output.stderr).unwrap_or_default());
            Ok(())
        }
    }
}

/// Deleting a directory with a mount in it would delete what is mounted.
pub fn refuse_mounts(directory: &Path) -> Result<()> {
    match mountinfo::below(directory)?.last() {
        Some(point) => bail!("something is mounted in the old rootfs: `sudo umount {}` first", point.display()),
        None => Ok(()),
    }
}
