//! The environment of a step: the same as if its program were started by hand.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Removes what cargo and rustup added to the environment when they started this program, and keeps the user's own variables.
pub fn leave_cargos(command: &mut Command) {
    let var = |name: &str| env::var_os(name);
    let home = |name: &str| var("HOME").map(|home| Path::new(&home).join(name).into_os_string());
    let is_rustups = var("RUST_RECURSION_COUNT").is_some();
    for (name, _) in env::vars_os() {
        let is_cargos = match name.to_str().unwrap_or_default() {
            // rustup sets them to what they are by default. Another value is the user's.
            "CARGO_HOME" => var("CARGO_HOME") == home(".cargo"),
            "RUSTUP_HOME" => var("RUSTUP_HOME") == home(".rustup"),
            // rustup notes where its choice came from: `env` is the user's variable.
            "RUSTUP_TOOLCHAIN" => var("RUSTUP_TOOLCHAIN_SOURCE").map_or(is_rustups, |it| it != "env"),
            "CARGO" | "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" => true,
            "RUST_RECURSION_COUNT" | "RUSTUP_TOOLCHAIN_SOURCE" => true,
            name => name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"),
        };
        if is_cargos {
            command.env_remove(name);
        }
    }
    let directories = |name: &str| -> Vec<PathBuf> { env::split_paths(&var(name).unwrap_or_default()).collect() };
    let mut libraries = directories("LD_LIBRARY_PATH");
    libraries.retain(|directory| !is_cargos_library_directory(directory));
    set_or_remove(command, "LD_LIBRARY_PATH", &libraries);
    // rustup puts its own directory first, where it usually is a second time.
    if let Some((first, rest)) = directories("PATH").split_first()
        && is_rustups
        && rest.contains(first)
    {
        set_or_remove(command, "PATH", rest);
    }
}

/// True for the directories of the toolchain's and the build's libraries, which `cargo run` puts into LD_LIBRARY_PATH.
fn is_cargos_library_directory(directory: &Path) -> bool {
    let has = |name: &str| directory.components().any(|it| it.as_os_str() == OsStr::new(name));
    let program = env::current_exe().unwrap_or_default();
    let cargo = PathBuf::from(env::var_os("CARGO").unwrap_or_default());
    // The `lib` next to the `bin` of the toolchain.
    let is_toolchains = cargo.ancestors().nth(2).is_some_and(|toolchain| directory == toolchain.join("lib"));
    let is_builds = program.parent().is_some_and(|build| directory.starts_with(build));
    is_builds || is_toolchains || has("rustlib") || has("toolchains")
}

fn set_or_remove(command: &mut Command, name: &str, directories: &[PathBuf]) {
    match env::join_paths(directories) {
        Ok(value) if !value.is_empty() => command.env(name, value),
        _ => command.env_remove(name),
    };
}
