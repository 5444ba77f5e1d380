//! Directories below cargo's target directory, and the cache of downloads.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{cargo, workspace};

/// Returns the target directory of the program in [`workspace::workshop`]. It is ours, because both use the same libraries. That
/// of a workshop in another place, such as a test's, is next to it, unless CARGO_TARGET_DIR names one.
pub fn workshop() -> Result<PathBuf> {
    match env::var_os(workspace::WORKSHOP) {
        Some(directory) if env::var_os("CARGO_TARGET_DIR").is_none() => {
            Ok(Path::new(&directory).with_file_name("target"))
        }
        _ => cargo::target_directory(),
    }
}

/// Returns the directory for tests of one `source`. It has its own rootfs, so that no test depends on what a learner did to
/// ./rootfs.
pub fn test_directory(source: &str) -> Result<PathBuf> {
    Ok(cargo::target_directory()?.join("test-rootfs").join(source))
}

/// Returns the place where downloads are kept from one checkout to the next: `$XDG_CACHE_HOME/mini-docker`, otherwise
/// `~/.cache/mini-docker`, otherwise the target directory.
pub fn cache() -> Result<PathBuf> {
    Ok(user_cache().map_or_else(cargo::target_directory, Ok)?.join("mini-docker"))
}

/// Returns the directory of the user's caches.
pub(crate) fn user_cache() -> Option<PathBuf> {
    // The XDG base directory specification: ignore a path that is not absolute.
    let directory = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("XDG_CACHE_HOME").or_else(|| directory("HOME").map(|home| home.join(".cache")))
}
