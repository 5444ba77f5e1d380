//! One function per place in the repository.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;

/// The variable that names another directory than `workshop/`: for tests, and where a checkout is shared.
pub const WORKSHOP: &str = "MINI_DOCKER_WORKSHOP";

/// True for a program of an archive, which `cargo xtask dist` makes. It needs no cargo, and its directory may be read-only and
/// shared.
pub const IS_ARCHIVE: bool = cfg!(feature = "archive");

/// Why an archive doesn't build the learner's program, and what to do.
pub const NO_RUST: &str = "this archive can't build a program in Rust, which takes a checkout of the repository: make a program in \
    another language with `cargo xtask workshop start --lang python`, or name yours with `cargo xtask check --cmd PROGRAM`";

/// Returns the top directory of the repository, or of the archive.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(find_root);
    &ROOT
}

#[cfg(not(feature = "archive"))]
fn find_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("xtask/lab/ is in the repository").to_owned()
}

/// The programs are in `bin/`. This is first called before a process leaves its PID namespace, where it has no /proc/self/exe.
#[cfg(feature = "archive")]
fn find_root() -> PathBuf {
    let exe = env::current_exe().expect("/proc is mounted");
    exe.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// Returns the place of a learner's root file system: `rootfs/`, which git ignores.
pub fn rootfs() -> PathBuf {
    root().join("rootfs")
}

/// Returns the directory of a learner's own program: `workshop/`, which git ignores, or the one that [`WORKSHOP`] names. With an
/// archive, which may be shared, it is in the learner's home.
pub fn workshop() -> PathBuf {
    let home = env::var_os("HOME").filter(|_| IS_ARCHIVE).map(|home| Path::new(&home).join("mini-docker-workshop"));
    env::var_os(WORKSHOP).map(PathBuf::from).or(home).unwrap_or_else(|| root().join("workshop"))
}

/// Returns the directory of this process's program. The programs of the same build are next to it.
pub fn programs() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    // The tests of a package are one deeper, in deps/.
    let directory = exe.ancestors().skip(1).find(|it| !it.ends_with("deps"));
    Ok(directory.unwrap_or(Path::new("/")).to_owned())
}
