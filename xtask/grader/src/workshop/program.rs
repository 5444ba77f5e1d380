//! The program that a learner works on: the one in `workshop/`, or the one that `check --cmd` named last, in any language.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use exercises::{Exercise, Kind, Language};
use lab::{host, workspace};

use super::progress::Progress;
use super::source::executable;
use super::{NAME, source_of};
use crate::check::find_program;
use crate::text::{quoted, visible};

/// A program, which has its own progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The Rust program in `workshop/`.
    Mine,
    /// Another program, by its absolute path.
    Other(PathBuf),
}

impl Program {
    /// Returns the program that `--cmd` names: `mine`, a path, or the name of a program on the PATH of a throwaway host.
    pub(crate) fn named(name: &OsStr) -> Result<Program> {
        if name == NAME {
            return Ok(Program::Mine);
        }
        let typed = Path::new(name);
        let is_name = typed.components().count() == 1 && !name.as_encoded_bytes().contains(&b'/');
        let path = match is_name && !typed.exists() {
            true => find_program(&host::environment(&[workspace::programs()?])?, typed),
            false => Some(typed.to_owned()),
        };
        let missing = || format!("there is no program {}", quoted(typed));
        let path = path.with_context(missing)?;
        let metadata = match path.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(missing()),
            metadata => metadata.with_context(|| format!("looking at {}", quoted(typed)))?,
        };
        ensure!(!metadata.is_dir(), "{} is a directory, not a program", quoted(typed));
        let file = path.file_name().with_context(|| format!("{} has no file name", quoted(typed)))?;
        let parent = std::path::absolute(&path)?.parent().map(Path::canonicalize);
        // A link may be the program's name, by which it knows what to do, so it isn't followed.
        Ok(Program::Other(parent.context("a program is in a directory")??.join(file)))
    }

    /// Returns the program that `--cmd` named last; otherwise the one in `workshop/`.
    pub(crate) fn remembered() -> Result<Program> {
        let Some(path) = Progress::read(&Program::Mine)?.current().map(PathBuf::from) else { return Ok(Program::Mine) };
        if !path.exists() {
            bail!(
                "{}, which `check --cmd` named last, doesn't exist any more: name another, or return to the program in workshop/ \
                 with `cargo xtask check --cmd mine`",
                quoted(&path)
            );
        }
        Ok(Program::Other(path))
    }

    /// Returns its language, if there are solutions in it.
    pub(crate) fn language(&self) -> Option<Language> {
        match self {
            Program::Mine => Some(Language::Rust),
            Program::Other(path) => Language::of(path),
        }
    }

    /// Returns the file that the learner edits for an exercise.
    pub(crate) fn source(&self, exercise: &Exercise) -> Result<PathBuf> {
        match (self, self.language()) {
            (Program::Mine, _) => Ok(workspace::workshop().join(source_of(exercise))),
            // It may be a program that the learner has compiled.
            (Program::Other(path), Some(language @ (Language::Go | Language::C))) => {
                Ok(path.with_extension(language.extension()))
            }
            (Program::Other(path), Some(_)) => Ok(path.clone()),
            (Program::Other(path), None) => bail!("the source of {} isn't known", quoted(path)),
        }
    }

    /// Returns the file to start, once it is built.
    pub(crate) fn executable(&self) -> PathBuf {
        match self {
            Program::Mine => NAME.into(),
            Program::Other(path) => executable(path),
        }
    }

    /// Returns a short name for a table.
    pub(crate) fn short(&self) -> String {
        match self {
            Program::Mine => "main.rs".into(),
            Program::Other(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        }
    }

    /// Returns its name in a report. Without an exercise, that is the program of most exercises.
    pub(crate) fn label(&self, exercise: Option<&Exercise>) -> String {
        match self {
            Program::Mine => format!("workshop/{}", exercise.map_or("src/main.rs".into(), source_of)),
            Program::Other(path) => quoted(path),
        }
    }

    /// Returns the same name for machines, without quotes.
    pub(crate) fn plain_label(&self, exercise: Option<&Exercise>) -> String {
        match self {
            Program::Mine => self.label(exercise),
            Program::Other(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// Returns the first line of a report, and an empty one.
    pub(crate) fn heading(&self, exercise: Option<&Exercise>) -> String {
        format!("Program: {}\n\n", self.label(exercise))
    }

    /// Returns the name of its section in `progress.txt`; none for the program in `workshop/`, and for a path that isn't a line
    /// of text.
    pub(super) fn section(&self) -> Option<&str> {
        match self {
            Program::Mine => None,
            Program::Other(path) => path.to_str(),
        }
    }

    /// True if its progress can be noted.
    pub(crate) fn is_noted(&self) -> bool {
        let is_line =
            |path: &Path| path.to_str().is_some_and(|text| visible(text) == text.trim_end() && !text.contains('\n'));
        let can_be = match self {
            Program::Mine => true,
            Program::Other(path) => is_line(path),
        };
        can_be && workspace::workshop().is_dir()
    }

    /// True if the exercise asks for a program of this kind. An attack is a program of its own, so it is never the next exercise
    /// of a program that makes containers.
    pub(crate) fn takes(&self, exercise: &Exercise) -> bool {
        *self == Program::Mine || exercise.kind == Kind::Container
    }
}
