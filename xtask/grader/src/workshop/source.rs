//! Programs in other languages, which are compiled before they are graded.

use std::ffi::OsString;
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
    let Some((words, program)) = compiler(file, kind) else { return Ok(Some(file.to_owned())) };
    let status = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("compiling {} with `{}`", file.display(), words[0].display()))?;
    Ok(status.success().then_some(program))
}

/// Returns the command that compiles a source, and the file that it makes.
pub(crate) fn compiler(file: &Path, kind: Kind) -> Option<(Vec<OsString>, PathBuf)> {
    let mut words: Vec<OsString> = match language(file)? {
        Language::Go => ["env", "CGO_ENABLED=0", "go", "build"].map(OsString::from).into(),
        _ => ["cc", "-std=gnu17", "-Wall", "-Wextra", "-O1"].map(OsString::from).into(),
    };
    if language(file) == Some(Language::C) && kind == Kind::Attack {
        // It runs in a rootfs, which need not have our C library.
        words.push("-static".into());
    }
    let program = executable(file);
    words.extend(["-o".into(), program.clone().into(), file.into()]);
    Some((words, program))
}

/// Returns the file that is executed: that of a source is next to it.
pub(super) fn executable(file: &Path) -> PathBuf {
    if language(file).is_some() { file.with_extension("") } else { file.to_owned() }
}

/// Returns the language of a source that is compiled.
fn language(file: &Path) -> Option<Language> {
    let extension = file.extension()?;
    [Language::Go, Language::C].into_iter().find(|it| extension == it.extension())
}
