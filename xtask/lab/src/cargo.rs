//! Builds with cargo, and asks cargo where the results are. CARGO_TARGET_DIR, `build.target-dir`, CARGO_BUILD_TARGET and
//! more decide that, so nothing here guesses it.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use duct::cmd;
use tinyjson::JsonValue;

use crate::{steps, workspace};

/// Returns the cargo that started this program, or the one on the PATH.
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a cargo command that builds, such as `["build", "--package", "step01-uts"]`, and returns the paths of the programs
/// that it built or found up to date, by their names. `manifest` names another package than this workspace.
/// Cargo's progress and the compiler's messages go to stderr.
///
/// Returns `None` if the build failed, which cargo has explained.
///
/// # Errors
/// When cargo can't be started.
pub fn build<S: AsRef<OsStr>>(manifest: Option<&Path>, args: &[S]) -> Result<Option<BTreeMap<String, PathBuf>>> {
    let (command, rest) = args.split_first().context("a cargo command")?;
    let default = workspace::root().join("Cargo.toml");
    let mut words: Vec<&OsStr> = vec![command.as_ref(), "--message-format=json-render-diagnostics".as_ref()];
    words.extend([OsStr::new("--manifest-path"), manifest.unwrap_or(&default).as_os_str()]);
    words.extend(rest.iter().map(AsRef::as_ref));
    let output = cmd(program(), words).stdin_null().stdout_capture().unchecked().run().context("starting cargo")?;
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success().then(|| messages.lines().filter_map(executable).collect()))
}

/// Returns the programs of workspace packages, built from their present source.
///
/// # Errors
/// When one of them can't be built.
pub fn programs(packages: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut args = vec!["build", "--bins"];
    args.extend(packages.iter().flat_map(|package| ["--package", package]));
    build(None, &args)?.with_context(|| format!("can't build {}", packages.join(", ")))
}

/// Returns the programs of all steps and of `others`, built in one go: they are in one directory, with the same libraries.
///
/// # Errors
/// When one of them can't be built.
pub fn steps_and(others: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let steps: Vec<String> = steps::all()?.into_iter().map(|step| step.name).collect();
    programs(&steps.iter().map(String::as_str).chain(others.iter().copied()).collect::<Vec<_>>())
}

/// Returns cargo's arguments for a release build of a step: for musl if that target is installed, because a static program
/// starts in half the time; otherwise for cargo's default target.
pub fn release_args() -> Vec<String> {
    let target = static_target().map(|target| ["--target".to_owned(), target]);
    ["--release".to_owned()].into_iter().chain(target.into_iter().flatten()).collect()
}

/// Returns the musl target of this machine, such as `x86_64-unknown-linux-musl`, if it is installed.
pub fn static_target() -> Option<String> {
    Some(format!("{}-unknown-linux-musl", env::consts::ARCH)).filter(|target| has_target(target))
}

/// True if Rust's libraries for a target are installed.
pub fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = cmd!(rustc, "--print", "target-libdir", "--target", target).stdin_null().stderr_null().read();
    libraries.is_ok_and(|directory| Path::new(directory.trim()).is_dir())
}

/// Reads the name and path of a program from one of cargo's messages: a `compiler-artifact` with an `executable`.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: JsonValue = message.parse().ok()?;
    let path: &String = member(&message, "executable")?.get()?;
    let name: &String = member(member(&message, "target")?, "name")?.get()?;
    Some((name.clone(), path.into()))
}

/// Returns cargo's target directory for this workspace. It is asked once.
///
/// # Errors
/// When cargo can't tell.
pub fn target_directory() -> Result<PathBuf> {
    static ANSWER: OnceLock<PathBuf> = OnceLock::new();
    match ANSWER.get() {
        Some(directory) => Ok(directory.clone()),
        None => {
            let directory = directory_in_metadata()?;
            Ok(ANSWER.get_or_init(|| directory).clone())
        }
    }
}

fn directory_in_metadata() -> Result<PathBuf> {
    let manifest = workspace::root().join("Cargo.toml");
    let args = ["metadata", "--no-deps", "--format-version=1", "--manifest-path"].map(OsString::from);
    let cargo = cmd(program(), args.into_iter().chain([manifest.into()])).stdin_null().stdout_capture().unchecked();
    let output = cargo.run().context("starting cargo")?;
    ensure!(output.status.success(), "`cargo metadata` failed");
    let metadata: JsonValue =
        String::from_utf8_lossy(&output.stdout).parse().context("`cargo metadata` is not JSON")?;
    let directory = member(&metadata, "target_directory").and_then(JsonValue::get::<String>);
    Ok(directory.context("`cargo metadata` has no target_directory")?.into())
}

fn member<'a>(object: &'a JsonValue, name: &str) -> Option<&'a JsonValue> {
    object.get::<HashMap<String, JsonValue>>()?.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_artifact_with_an_executable_is_a_program() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"mine"},"executable":"/a \"b\"/t/debug/mine"}"#;
        assert_eq!(executable(message), Some(("mine".into(), "/a \"b\"/t/debug/mine".into())));
        for other in [r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":null}"#, "{}", "", "warning"]
        {
            assert_eq!(executable(other), None, "{other}");
        }
    }
}
