//! One function per place in the repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cargo;

/// For tests: the variable that names another directory than `workshop/`.
pub const WORKSHOP: &str = "MINI_DOCKER_TEST_WORKSHOP";

/// Returns the top directory of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask/lab/ is in the repository")
}

/// Returns the place of a learner's root file system: `rootfs/`, which git ignores.
pub fn rootfs() -> PathBuf {
    root().join("rootfs")
}

/// Returns the directory of a learner's own program: `workshop/`, which git ignores, or the one that [`WORKSHOP`] names.
pub fn workshop() -> PathBuf {
    env::var_os(WORKSHOP).map_or_else(|| root().join("workshop"), PathBuf::from)
}

/// Returns the target directory of the program in [`workshop`]: ours, because they share libraries. That of a test is next
/// to its workshop, so that `mine` on the throwaway host is never a test's.
pub fn workshop_target() -> Result<PathBuf> {
    match env::var_os(WORKSHOP) {
        Some(directory) => Ok(Path::new(&directory).with_file_name("target")),
        None => cargo::target_directory(),
    }
}

/// Returns the directory for tests of one `source`, with a rootfs of its own, so that no test sees what learners did to theirs.
pub fn test_directory(source: &str) -> Result<PathBuf> {
    Ok(cargo::target_directory()?.join("test-rootfs").join(source))
}

/// Returns the place where downloads are kept from one checkout to the next: `$XDG_CACHE_HOME/mini-docker`, otherwise
/// `~/.cache/mini-docker`, otherwise the target directory.
pub fn cache() -> Result<PathBuf> {
    // The XDG base directory specification: ignore a path that is not absolute.
    let directory = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = directory("XDG_CACHE_HOME").or_else(|| directory("HOME").map(|home| home.join(".cache")));
    Ok(base.map_or_else(cargo::target_directory, Ok)?.join("mini-docker"))
}

/// Returns the directory of this process's program. The programs of the same build are next to it.
pub fn programs() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    // The tests of a package are one deeper, in deps/.
    let directory = exe.ancestors().skip(1).find(|it| !it.ends_with("deps"));
    Ok(directory.unwrap_or(Path::new("/")).to_owned())
}
