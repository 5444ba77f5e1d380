//! The environment of a step: what it would be if its program were started by hand.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Removes what cargo and rustup added to the environment when they started this program, and leaves what is the user's.
pub fn leave_cargos(command: &mut Command) {
    let var = |name: &str| env::var_os(name);
    let home = |name: &str| var("HOME").map(|home| Path::new(&home).join(name).into_os_string());
    for (name, _) in env::vars_os() {
        let is_cargos = match name.to_str().unwrap_or_default() {
            // rustup sets them to what they are by default. Another value is the user's.
            "CARGO_HOME" => var("CARGO_HOME") == home(".cargo"),
            "RUSTUP_HOME" => var("RUSTUP_HOME") == home(".rustup"),
            // rustup notes where its choice came from: `env` is the user's variable.
            "RUSTUP_TOOLCHAIN" => var("RUSTUP_TOOLCHAIN_SOURCE").is_some_and(|it| it != "env") || is_rustups(),
            "CARGO" | "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" => true,
            "RUST_RECURSION_COUNT" | "RUSTUP_TOOLCHAIN_SOURCE" => true,
            name => name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"),
        };
        if is_cargos {
            command.env_remove(name);
        }
    }
    if let Some(path) = var("LD_LIBRARY_PATH") {
        set_or_remove(command, "LD_LIBRARY_PATH", &without(&path, is_cargos_library_directory));
    }
    if let (Some(path), true) = (var("PATH"), is_rustups()) {
        // rustup puts its own directory first, where it usually is a second time.
        let directories: Vec<PathBuf> = env::split_paths(&path).collect();
        if let Some((first, rest)) = directories.split_first()
            && rest.contains(first)
        {
            set_or_remove(command, "PATH", &env::join_paths(rest).unwrap_or(path));
        }
    }
}

/// True if cargo was started by rustup.
fn is_rustups() -> bool {
    env::var_os("RUST_RECURSION_COUNT").is_some()
}

/// `cargo run` puts the directories of the toolchain's and the build's libraries there.
fn is_cargos_library_directory(directory: &Path) -> bool {
    let has = |name: &str| directory.components().any(|it| it.as_os_str() == OsStr::new(name));
    let program = env::current_exe().unwrap_or_default();
    let builds = program.parent().is_some_and(|build| directory.starts_with(build));
    builds
        || has("rustlib")
        || has("toolchains")
        || env::var_os("CARGO").is_some_and(|cargo| is_beside(directory, &cargo))
}

/// True for the `lib` next to the `bin` of the toolchain.
fn is_beside(directory: &Path, cargo: &OsStr) -> bool {
    Path::new(cargo).ancestors().nth(2).is_some_and(|toolchain| directory == toolchain.join("lib"))
}

fn without(path: &OsStr, is_cargos: impl Fn(&Path) -> bool) -> OsString {
    env::join_paths(env::split_paths(path).filter(|directory| !is_cargos(directory))).unwrap_or_default()
}

fn set_or_remove(command: &mut Command, name: &str, value: &OsStr) {
    match value.is_empty() {
        true => command.env_remove(name),
        false => command.env(name, value),
    };
}
