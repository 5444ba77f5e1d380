//! The environment of a step: the same as if its program were started by hand.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Removes what cargo and rustup added to the environment when they started this program, and keeps the user's own variables.
pub fn leave_cargos(command: &mut Command) {
    let var = |name: &str| env::var_os(name);
    let is_rustups = var("RUST_RECURSION_COUNT").is_some();
    for (name, _) in env::vars_os() {
        if is_cargos(name.to_str().unwrap_or_default(), var) {
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

/// True for a variable that cargo or rustup added to the environment, which `var` looks up.
fn is_cargos(name: &str, var: impl Fn(&str) -> Option<OsString>) -> bool {
    let home = |name: &str| var("HOME").map(|home| Path::new(&home).join(name).into_os_string());
    match name {
        // rustup sets them to what they are by default. Another value is the user's.
        "CARGO_HOME" => var("CARGO_HOME") == home(".cargo"),
        "RUSTUP_HOME" => var("RUSTUP_HOME") == home(".rustup"),
        // rustup notes where its choice came from: `env` is the user's variable.
        "RUSTUP_TOOLCHAIN" => {
            let source = var("RUSTUP_TOOLCHAIN_SOURCE");
            source.map_or_else(|| var("RUST_RECURSION_COUNT").is_some(), |it| it != "env")
        }
        "CARGO" | "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" => true,
        "RUST_RECURSION_COUNT" | "RUSTUP_TOOLCHAIN_SOURCE" => true,
        name => name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_cargos_only_where_it_would_be_by_default() {
        let in_home = |directory: &'static str| {
            move |name: &str| Some(if name == "HOME" { "/home/x".into() } else { OsString::from(directory) })
        };
        assert!(is_cargos("CARGO_HOME", in_home("/home/x/.cargo")));
        assert!(!is_cargos("CARGO_HOME", in_home("/usr/local/cargo")));
        assert!(is_cargos("RUSTUP_HOME", in_home("/home/x/.rustup")));
        assert!(!is_cargos("RUSTUP_HOME", in_home("/usr/local/rustup")));
    }
}
