//! Builds with cargo, and asks cargo where the results are. CARGO_TARGET_DIR, `build.target-dir`, CARGO_BUILD_TARGET and
//! more decide that, so nothing here guesses it.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use duct::cmd;
use tinyjson::JsonValue;

use crate::{steps, target, workspace};

/// The variable that passes the xtask program that `cargo xtask test` has built, next to the steps, on to the tests.
pub const TEST_PROGRAM: &str = "MINI_DOCKER_TEST_PROGRAM";

/// Returns the cargo that started this program, or the one on the PATH.
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo, on this workspace or another `manifest`, and returns its output if it succeeds. Its messages go to stderr.
fn cargo(manifest: Option<&Path>, command: &OsStr, args: &[&OsStr]) -> Result<Option<String>> {
    let ours = workspace::root().join("Cargo.toml");
    let words = [&[command, "--manifest-path".as_ref(), manifest.unwrap_or(&ours).as_os_str()], args].concat();
    let output = cmd(program(), words).stdin_null().stdout_capture().unchecked().run().context("starting cargo")?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs a cargo command that builds, such as `["build", "--package", "step01-uts"]`, and returns the paths of the programs
/// that it built or found up to date, by their names. `manifest` names another package than this workspace.
///
/// Returns `None` if the build failed, which cargo has explained.
pub fn build<S: AsRef<OsStr>>(manifest: Option<&Path>, args: &[S]) -> Result<Option<BTreeMap<String, PathBuf>>> {
    let (command, rest) = args.split_first().context("a cargo command")?;
    let mut args = vec!["--message-format=json-render-diagnostics".as_ref()];
    args.extend(rest.iter().map(AsRef::as_ref));
    let messages = cargo(manifest, command.as_ref(), &args)?;
    Ok(messages.map(|messages| messages.lines().filter_map(executable).collect()))
}

/// The same for one program, whose path it returns.
pub fn build_program<S: AsRef<OsStr>>(manifest: Option<&Path>, args: &[S], name: &str) -> Result<Option<PathBuf>> {
    let Some(mut programs) = build(manifest, args)? else { return Ok(None) };
    programs.remove(name).with_context(|| format!("cargo built no {name}")).map(Some)
}

/// Returns the programs of all steps and of `others`, built in one go: they are in one directory, with the same libraries.
pub fn steps_and(others: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let steps = steps::all()?;
    if workspace::IS_ARCHIVE {
        let programs = workspace::programs()?;
        // There, xtask has the name of the archive.
        let file = |name: &str| programs.join(if name == "xtask" { "mini-docker" } else { name });
        let names = steps.into_iter().map(|step| step.name).chain(others.iter().map(|it| (*it).to_owned()));
        return Ok(names.map(|name| (name.clone(), file(&name))).collect());
    }
    let packages: Vec<&str> = steps.iter().map(|step| step.name.as_str()).chain(others.iter().copied()).collect();
    let mut args = vec!["build", "--bins"];
    args.extend(packages.iter().flat_map(|package| ["--package", package]));
    build(None, &args)?.with_context(|| format!("can't build {}", packages.join(", ")))
}

/// Returns cargo's arguments for a release build of a step: for musl if that target is installed, because a static program
/// starts in half the time; otherwise for cargo's default target.
pub fn release_args() -> Vec<String> {
    let target = static_target().into_iter().flat_map(|target| ["--target".to_owned(), target]);
    ["--release".to_owned()].into_iter().chain(target).collect()
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
    let path = text(&message, "executable")?;
    Some((text(message.get::<HashMap<String, JsonValue>>()?.get("target")?, "name")?, path.into()))
}

/// Returns cargo's target directory for this workspace. It is asked once. With an archive it is a directory of the user's.
pub fn target_directory() -> Result<PathBuf> {
    if workspace::IS_ARCHIVE {
        return Ok(target::user_cache().context("HOME isn't set")?.join("mini-docker"));
    }
    static ANSWER: OnceLock<PathBuf> = OnceLock::new();
    if let Some(directory) = ANSWER.get() {
        return Ok(directory.clone());
    }
    let args = ["--no-deps", "--format-version=1"].map(OsStr::new);
    let metadata = cargo(None, "metadata".as_ref(), &args)?.context("`cargo metadata` failed")?;
    let metadata: JsonValue = metadata.parse().context("`cargo metadata` is not JSON")?;
    let directory = text(&metadata, "target_directory").context("`cargo metadata` has no target_directory")?;
    Ok(ANSWER.get_or_init(|| directory.into()).clone())
}

fn text(object: &JsonValue, name: &str) -> Option<String> {
    object.get::<HashMap<String, JsonValue>>()?.get(name)?.get::<String>().cloned()
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
