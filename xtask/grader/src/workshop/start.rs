//! `cargo xtask workshop start`: makes the directory, and a first program in the learner's language.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use exercises::{Exercise, Language};
use lab::{output, target, workspace};

use super::source::executable;
use super::{NAME, Program, Progress, open, source_of, write};
use crate::catalog;
use crate::text::{hanging, markdown, quoted};

/// The options of `xtask workshop start`.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The language of your program: rust, python, go, c or shell [default: rust]
    #[arg(long = "lang", value_name = "LANGUAGE", value_parser = language)]
    pub language: Option<Language>,
}

fn language(name: &str) -> Result<Language> {
    let is_named = |it: &Language| it.title().eq_ignore_ascii_case(name) || it.extension() == name;
    let known: Vec<_> = Language::ALL.iter().map(|it| it.title().to_lowercase()).collect();
    let Some(language) = Language::ALL.into_iter().find(is_named) else {
        bail!(
            "there is no first program in '{name}', but in {}. A program in any language can be named: \
             `cargo xtask check --cmd PROGRAM`",
            known.join(", ")
        )
    };
    Ok(language)
}

/// Makes the directory and the program, and prints what to do next. Existing files stay.
pub(crate) fn start(options: &Start) -> Result<ExitCode> {
    let made = match options.language {
        None | Some(Language::Rust) => make_package(),
        Some(language) => make_program(language),
    };
    let (program, is_new) = made.map_err(elsewhere)?;
    if options.language.is_some() {
        Progress::update(&program, |progress| progress.set_current(&program))?;
    }
    let what = if is_new { "is ready" } else { "is there already" };
    let mut out = markdown(&format!("workshop/ {what}. Your program is {}.", program.label(None))) + "\n";
    for (command, does) in [
        ("check", "grade it against the next exercise"),
        ("check --watch", "grade it whenever you save"),
        ("hint", "show what to do; each call adds a hint"),
        ("host", &format!("open a throwaway host; try it there: `{} run sh`", quoted(&program.executable()))),
        ("status", "list what you have passed"),
    ] {
        out += &hanging(&format!("cargo xtask {command:<15} "), 28, does);
    }
    let next = match open(&program, &Progress::read(&program)?)? {
        Some(Exercise { order, id, title, .. }) => format!("Next is exercise {order} ({id}): {title}."),
        None => "You have passed them all.".into(),
    };
    let other = match &program {
        Program::Mine => {
            "You can use any other language: `cargo xtask workshop start --lang python` makes a first program in Python, and \
             `cargo xtask check --cmd ./mine.rb` grades a program that you have. From then on all commands mean that program."
        }
        Program::Other(_) => "From now on all commands mean this program.",
    };
    output::write(&format!("{out}\n{}\n{}", markdown(&next), markdown(other)))?;
    Ok(ExitCode::SUCCESS)
}

/// Adds what to do where nothing can be written, as in a checkout that is shared.
fn elsewhere(error: Error) -> Error {
    let refused = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
    match error.root_cause().downcast_ref::<io::Error>() {
        Some(cause) if refused.contains(&cause.kind()) => {
            anyhow!(
                "{error:#}; set MINI_DOCKER_WORKSHOP to a directory of your own, where the workshop is made instead"
            )
        }
        _ => error,
    }
}

/// Makes the Rust package. Returns the program that commands mean, and whether the package is new.
fn make_package() -> Result<(Program, bool)> {
    ensure!(!workspace::IS_ARCHIVE, "{}", workspace::NO_RUST);
    let directory = workspace::workshop();
    let is_new = !directory.join("Cargo.toml").exists();
    if is_new {
        fs::create_dir_all(directory.join("src/bin")).with_context(|| format!("making {}", directory.display()))?;
        write(&directory.join("Cargo.toml"), &manifest(NAME))?;
        // The very versions that are here already, so that nothing is downloaded.
        fs::copy(workspace::root().join("Cargo.lock"), directory.join("Cargo.lock")).context("copying Cargo.lock")?;
    }
    // Even if it exists, because the repository may have moved.
    write(&directory.join(".cargo/config.toml"), &config()?)?;
    // An update may have brought one with a program of its own.
    for exercise in catalog::exercises()? {
        let file = directory.join(source_of(exercise));
        if !file.exists() {
            write(&file, &exercise.starter(workspace::root())?)?;
        }
    }
    Ok((Program::Mine, is_new))
}

/// Makes a program in another language. Returns it, and whether it is new.
fn make_program(language: Language) -> Result<(Program, bool)> {
    let all = catalog::exercises()?;
    let first = all.first().context("there are no exercises")?;
    let source = first.starter_in(workspace::root(), all, language)?.context("there is no first program")?;
    let file = workspace::workshop().join(NAME).with_extension(language.extension());
    let is_new = !file.exists();
    if is_new {
        write(&file, &source)?;
        if executable(&file) == file {
            let mode = file.metadata()?.permissions().mode();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode | 0o111))?;
        }
    }
    Ok((Program::named(file.as_os_str())?, is_new))
}

/// Returns cargo's configuration there. Its paths are complete, because an alias is run in the directory where it is typed.
fn config() -> Result<String> {
    let complete = workspace::root().join("Cargo.toml").display().to_string();
    // cargo splits an alias at blanks. Then it works only in the top directory of the workshop.
    let manifest = if complete.contains(char::is_whitespace) { "../Cargo.toml" } else { &complete };
    let target = target::workshop()?;
    // What Rust prints of a path with {:?} is a string in TOML, too.
    Ok(format!(
        "[alias]\nxtask = \"run --manifest-path {manifest} --package xtask --\"\n\n[build]\ntarget-dir = {target:?}\n"
    ))
}

/// Returns the manifest of a package that is built as the workspace is: the learner's, or one of tests.
pub fn manifest(name: &str) -> String {
    include_str!("../../workshop.toml").replace("\"mine\"", &format!("{name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_built_like_the_workspace() {
        let workspace = include_str!("../../../../Cargo.toml");
        let (_, profiles) = workspace.split_once("[profile.dev]").unwrap();
        let is_ours = |line: &&str| line.starts_with("nix = ") || line.starts_with("caps = ");
        let lines = workspace.lines().filter(is_ours).chain(profiles.lines());
        for line in lines.filter(|line| !line.starts_with('#')) {
            assert!(manifest("mine").lines().any(|it| it == line), "workshop.toml has no line {line}");
        }
    }
}
