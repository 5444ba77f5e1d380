//! The directory that programs are checked in, with a `rootfs/`. It is kept, because creating it takes longer than a check. A
//! program may do anything to it, so it is rebuilt when anything that was in it is gone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::rootfs::{self, Options, Source};
use lab::{target, workspace};

use crate::workshop;

/// What was made: the version of the source, and the names of everything in the rootfs, each after a NUL byte.
const RECORD: &str = ".check.made";

/// The directory. While this is held, other checks may run in it, but none rebuilds it.
#[derive(Debug)]
pub struct Directory {
    /// Its path.
    pub path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Returns the directory whose rootfs is made from `source`; by default from what `./rootfs` was made from, or else from the
    /// first available one.
    pub fn of(source: Option<&Source>) -> Result<Directory> {
        if workspace::IS_ARCHIVE && source.is_none() {
            return Directory::made_from(Some(&Source::Path(workspace::rootfs())));
        }
        if source.is_some() {
            return Directory::made_from(source);
        }
        let of_rootfs = rootfs::stamp(&workspace::rootfs()).and_then(|stamp| Source::of_stamp(&stamp));
        // That source may be gone by now.
        let made = of_rootfs.map(|source| Directory::made_from(Some(&source)));
        made.and_then(Result::ok).map_or_else(|| Directory::made_from(None), Ok)
    }

    fn made_from(source: Option<&Source>) -> Result<Directory> {
        let path = target::test_directory(&format!("check-{}", source.map_or("any", Source::short)))?;
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        let version = match source {
            // It may have changed.
            Some(Source::Path(path)) => format!("{} {:x}", path.display(), workshop::fingerprint(path)),
            _ => String::new(),
        };
        loop {
            let lock = File::create(path.join(".check.lock")).context("opening .check.lock")?;
            lock.lock_shared().context("flock(LOCK_SH)")?;
            if is_complete(&path, &version) {
                return Ok(Directory { path, _lock: lock });
            }
            lock.unlock().context("flock(LOCK_UN)")?;
            lock.lock().context("flock(LOCK_EX)")?;
            // Another check may have been first.
            if !is_complete(&path, &version) {
                let options = Options { source: source.cloned(), force: true, ..Options::default() };
                rootfs::make(&path.join("rootfs"), &options)?;
                let mut record = version.clone().into_bytes();
                for name in tree(&path.join("rootfs")) {
                    record.push(0);
                    record.extend(name.as_os_str().as_bytes());
                }
                fs::write(path.join(RECORD), record).context("noting what is in the rootfs")?;
            }
        }
    }
}

/// True if the rootfs has that version, and nothing in it is gone. Additional files are harmless.
fn is_complete(directory: &Path, version: &str) -> bool {
    let rootfs = directory.join("rootfs");
    let Ok(record) = fs::read(directory.join(RECORD)) else { return false };
    let mut parts = record.split(|byte| *byte == 0);
    parts.next() == Some(version.as_bytes())
        && rootfs::stamp(&rootfs).is_some()
        && rootfs::flaw(&rootfs).is_none()
        && parts.all(|name| rootfs.join(OsStr::from_bytes(name)).symlink_metadata().is_ok())
}

/// Returns the paths of everything below a directory, relative to it.
pub fn tree(top: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(top.join(&directory)).into_iter().flatten().flatten() {
            let path = directory.join(entry.file_name());
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                directories.push(path.clone());
            }
            all.insert(path);
        }
    }
    all
}
