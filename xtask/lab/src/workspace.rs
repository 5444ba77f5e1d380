//! One function per place in the repository.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

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

/// Returns the directory of this process's program. The programs of the same build are next to it.
pub fn programs() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    // The tests of a package are one deeper, in deps/.
    let directory = exe.ancestors().skip(1).find(|it| !it.ends_with("deps"));
    Ok(directory.unwrap_or(Path::new("/")).to_owned())
}
