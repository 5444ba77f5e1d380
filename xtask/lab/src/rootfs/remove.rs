//! Removes a rootfs, in which anybody may have done anything.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::mountinfo;

/// Removes a rootfs, or what is left of one, if it exists.
pub fn remove(path: &Path) -> Result<()> {
    let result = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(metadata) if metadata.is_dir() => refuse_mounts(path).map(|()| remove_directory(path))?,
        Ok(_) => fs::remove_file(path),
    };
    result.with_context(|| format!("removing {0}: if root made it, `sudo rm -r {0}`", path.display()))
}

/// Deleting a directory with a mount in it would delete what is mounted.
pub fn refuse_mounts(directory: &Path) -> Result<()> {
    match mountinfo::below(directory)?.last() {
        Some(point) => bail!("something is mounted in the old rootfs: `sudo umount {}` first", point.display()),
        None => Ok(()),
    }
}

/// Removes a directory that may be deeper than a path can be long, or than files can be open. Directories in it may lack
/// every permission.
fn remove_directory(directory: &Path) -> io::Result<()> {
    // If this fails, what needs the permission fails, too.
    let allow = |directory: &Path| drop(fs::set_permissions(directory, Permissions::from_mode(0o700)));
    let mut number = 0_u64;
    allow(directory);
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(directory)? {
            is_empty = false;
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            allow(&entry.path());
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                if !inner.file_type()?.is_dir() {
                    fs::remove_file(inner.path())?;
                    continue;
                }
                // Move it to the top, where paths are short; a later round removes it. Its `..` changes, so it must be writable.
                allow(&inner.path());
                let free = loop {
                    let path = directory.join(format!(".remove.{number}"));
                    number += 1;
                    if path.symlink_metadata().is_err() {
                        break path;
                    }
                };
                fs::rename(inner.path(), free)?;
            }
            fs::remove_dir(entry.path())?;
        }
        if is_empty {
            return fs::remove_dir(directory);
        }
    }
}
