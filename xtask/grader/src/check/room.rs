//! The folder that programs are graded in, with a `rootfs/` in it. It is kept, for to make one takes longer than a check. But
//! a program that is graded may have done anything to it: so it is made anew when anything that was in it is gone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::rootfs::{self, Options, Source};
use crate::{workshop, workspace};

/// A room that stays as it is for as long as this is held: others may grade in it as well, and nobody makes it anew.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    _lock: File,
}

impl Room {
    /// One whose rootfs is made from `source`, or from the first that can be had.
    ///
    /// # Errors
    /// When there is no rootfs and none can be made.
    pub fn of(source: Option<&Source>) -> Result<Room> {
        let folder = workspace::test_directory(&format!("check-{}", source.map_or("any", Source::short)))?;
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let version = match source {
            // It may be another one by now.
            Some(Source::Path(path)) => format!("{} {:x}", path.display(), workshop::fingerprint(path)),
            _ => String::new(),
        };
        loop {
            let lock = lock_file(&folder)?;
            lock.lock_shared().context("flock(LOCK_SH)")?;
            if is_whole(&folder, &version) {
                return Ok(Room { folder, _lock: lock });
            }
            lock.unlock().context("flock(LOCK_UN)")?;
            lock.lock().context("flock(LOCK_EX)")?;
            // Somebody else may have been first.
            if !is_whole(&folder, &version) {
                let options = Options { source: source.cloned(), force: true, ..Options::default() };
                rootfs::make(&folder.join("rootfs"), &options)?;
                let record = [version.as_bytes(), &names(&folder.join("rootfs"))?].concat();
                fs::write(folder.join(RECORD), record).context("noting what is in the rootfs")?;
            }
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What was made: the version of the source, and the names of all that is in it, a NUL byte before each.
const RECORD: &str = ".check.made";

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join(".check.lock");
    File::create(&path).with_context(|| format!("opening {}", path.display()))
}

/// Is the rootfs of that version there, and nothing gone from it? What was added does no harm.
fn is_whole(folder: &Path, version: &str) -> bool {
    let goal = folder.join("rootfs");
    let Ok(record) = fs::read(folder.join(RECORD)) else { return false };
    let mut parts = record.split(|byte| *byte == 0);
    parts.next() == Some(version.as_bytes())
        && rootfs::stamp(&goal).is_some()
        && rootfs::flaw(&goal).is_none()
        && parts.all(|name| goal.join(OsStr::from_bytes(name)).symlink_metadata().is_ok())
}

/// The names of all that is below a folder, a NUL byte before each.
fn names(top: &Path) -> io::Result<Vec<u8>> {
    let mut all = BTreeSet::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
            all.insert(entry.path());
        }
    }
    let below = |path: &PathBuf| path.strip_prefix(top).unwrap_or(path).as_os_str().as_bytes().to_owned();
    Ok(all.iter().flat_map(|path| [vec![0], below(path)].concat()).collect())
}
