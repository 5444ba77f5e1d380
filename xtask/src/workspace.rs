//! One function per place in the repository.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The top folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is a folder of the workspace")
}

/// Where a learner's root file system lies: `rootfs/`, which git ignores.
pub fn rootfs() -> PathBuf {
    root().join("rootfs")
}

/// Where a learner's own program lies: `workshop/`, which git ignores.
pub fn workshop() -> PathBuf {
    root().join("workshop")
}

/// The folder with a rootfs of its own that tests of one `source` run in, so that no test sees what a learner did to
/// theirs.
pub fn test_room(source: &str) -> PathBuf {
    target().join("test-rooms").join(source)
}

/// The folder of the programs built with this one, `target/debug` or `target/release`.
///
/// # Errors
/// Those of [`env::current_exe`].
pub fn programs() -> io::Result<PathBuf> {
    let exe = env::current_exe()?;
    let folder = exe.parent().unwrap_or(Path::new("/"));
    // The tests of a package lie one deeper, in deps/.
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

/// The step programs' folder: that of [`programs`], or its sibling `release`.
///
/// # Errors
/// Those of [`env::current_exe`].
pub fn step_programs(release: bool) -> io::Result<PathBuf> {
    let programs = programs()?;
    Ok(if release { programs.with_file_name("release") } else { programs })
}

/// Cargo's target folder, wherever CARGO_TARGET_DIR or the configuration puts it.
pub fn target() -> PathBuf {
    // Cargo marks it, and so it is found also where a folder for `--target` lies between.
    let programs = programs().unwrap_or_default();
    let marked = programs.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map_or_else(|| root().join("target"), Path::to_owned)
}

/// Where downloads are kept from one checkout to the next: `$XDG_CACHE_HOME/mini-docker`, else `~/.cache/mini-docker`, else
/// (no HOME) in the target folder.
pub fn cache() -> PathBuf {
    // The XDG base directory specification: a path that is not absolute is to be ignored.
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(target)
        .join("mini-docker")
}

/// The cargo that started us, else the one on the PATH.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
