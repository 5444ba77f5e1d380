//! Programs in other languages, which are compiled before they are graded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use exercises::{Kind, Language};

/// Compiles a program if it is a source, and returns the file to execute: next to the source, without its extension. Returns `None`
/// if the compiler has explained why not.
///
/// # Errors
/// If there is no compiler.
pub fn compile(file: &Path, kind: Kind) -> Result<Option<PathBuf>> {
    let language = Language::ALL.into_iter().find(|it| file.extension().is_some_and(|name| name == it.extension()));
    let program = executable(file);
    let mut compiler = match language {
        Some(Language::Go) => Command::new("go"),
        Some(Language::C) => Command::new("cc"),
        _ => return Ok(Some(program)),
    };
    if language == Some(Language::Go) {
        compiler.env("CGO_ENABLED", "0").arg("build");
    } else {
        compiler.args(["-std=gnu17", "-Wall", "-Wextra", "-O1"]);
        // It runs in a rootfs, which need not have our C library.
        compiler.args((kind == Kind::Attack).then_some("-static"));
    }
    let name = compiler.get_program().to_owned();
    let status = compiler.arg("-o").arg(&program).arg(file).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("compiling {} with `{}`", file.display(), name.display()))?;
    Ok(status.success().then_some(program))
}

/// Returns the file that is executed: that of a source is next to it.
pub(super) fn executable(file: &Path) -> PathBuf {
    let is_compiled =
        [Language::Go, Language::C].iter().any(|it| file.extension().is_some_and(|name| name == it.extension()));
    if is_compiled { file.with_extension("") } else { file.to_owned() }
}
