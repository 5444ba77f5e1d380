//! `cargo xtask hint` and `diff`: what to do, and the solution as a change.

use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use exercises::Exercise;
use similar::{Algorithm, TextDiff};

use super::progress::Progress;
use super::{at, meant, source_of, there};
use crate::{stdout, workspace};

/// What `xtask hint` was asked for.
#[derive(Debug, Default)]
pub struct Hint {
    /// Of this exercise; `None` means the first that was not passed yet.
    pub exercise: Option<&'static Exercise>,
    /// The statement alone.
    pub statement: bool,
    /// Every hint at once.
    pub all: bool,
}

/// Prints the statement, and one hint more than last time.
///
/// # Errors
/// When the exercise has no text, or the progress can't be written.
pub fn hint(options: &Hint) -> Result<ExitCode> {
    let exercise = meant(options.exercise)?;
    let Exercise { order, id, title, minutes, chapter, statement, function, .. } = exercise;
    let mut out = format!(
        "Exercise {order} ({id}): {title}\nAbout {minutes} minutes. The chapter: {} in the book.\n\n{statement}\n",
        chapter.replace(".md", ".html"),
    );
    let mut hints = exercise.hints.clone();
    let starter = exercise.starter(workspace::root())?;
    let solution = solution_like(exercise, &starter)?;
    let all = between(&starter, &solution, "starter", "solution");
    // Exercise 0 is solved from the beginning.
    if !all.is_empty() {
        // Yours has grown in its own way, so this is to be read beside it, and not to be put in.
        let heading = format!("In our program: what the exercise changes in `{function}`");
        hints.push((heading, function_diff(&starter, &solution, function)?));
        let heading =
            format!("In our program: all that it changes; `cargo xtask diff {id} --solution` prints the result");
        hints.push((heading, all));
    }
    let mut progress = Progress::read()?;
    let shown = match () {
        () if options.statement => 0,
        () if options.all => hints.len(),
        () => progress.hints_read(exercise),
    };
    for (index, (heading, body)) in hints.iter().take(shown).enumerate() {
        let _ = write!(out, "\nHint {} of {}. {heading}\n\n{body}\n", index + 1, hints.len());
    }
    if !options.statement && !options.all {
        let more = if shown < hints.len() {
            format!("`cargo xtask hint {}` again gives hint {} of {}.", exercise.id, shown + 1, hints.len())
        } else {
            "There are no more.".into()
        };
        let _ = write!(out, "\n{more}\n");
        if workspace::workshop().is_dir() {
            progress.read_hint(exercise, (shown + 1).min(hints.len()));
            progress.write()?;
        }
    }
    stdout::write(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// What `xtask diff` was asked for.
#[derive(Debug, Default)]
pub struct Diff {
    /// The exercise; `None` means the one that the learner is at, also if it was passed, so that the solution of the next isn't
    /// shown by mistake.
    pub exercise: Option<&'static Exercise>,
    /// Print the complete solution instead.
    pub solution: bool,
}

/// Prints the changes from the learner's program to the solution of an exercise.
///
/// # Errors
/// When there is no workshop, or a file can't be read.
pub fn diff(options: &Diff) -> Result<ExitCode> {
    let next = meant(None)?;
    let exercise = match options.exercise {
        Some(exercise) => exercise,
        None => at(&Progress::read()?)?.unwrap_or(next),
    };
    if options.solution {
        stdout::write(&exercise.solution(workspace::root())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = source_of(exercise);
    let mine = there()?.join(&file);
    let mine = fs::read_to_string(&mine).with_context(|| format!("reading {}", mine.display()))?;
    let solution = solution_like(exercise, &mine)?;
    let difference =
        between(&mine, &solution, &format!("workshop/{file}"), &format!("the solution of {}", exercise.id));
    stdout::write(if difference.is_empty() { "They are the same.\n" } else { &difference })?;
    if options.exercise.is_none() && next.id != exercise.id {
        eprintln!(
            "This is exercise {} ({}), which you have passed. `cargo xtask hint {} --all` ends with what solves the next.",
            exercise.order, exercise.id, next.id
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the solution with the header of `other`: what each says of itself is no difference.
fn solution_like(exercise: &Exercise, other: &str) -> Result<String> {
    let header = other.strip_suffix(exercises::without_header(other)).unwrap_or_default();
    Ok(header.to_owned() + exercises::without_header(&exercise.solution(workspace::root())?))
}

/// Returns the difference between two sources in one of their top-level functions.
fn function_diff(starter: &str, solution: &str, name: &str) -> Result<String> {
    let new = function(solution, name).with_context(|| format!("the solution has no fn {name}"))?;
    Ok(function(starter, name).map_or(new.to_owned(), |old| between(old, new, "starter", "solution")))
}

/// A top-level function, as rustfmt lays it out: up to the first closing brace at the beginning of a line.
fn function<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let start = source.match_indices(&format!("fn {name}(")).map(|(at, _)| at).find(|at| {
        let line = source[..*at].rsplit('\n').next().unwrap_or_default();
        ["", "pub ", "const "].contains(&line)
    })?;
    let length = source[start..].find("\n}\n")? + 3;
    Some(&source[start..start + length])
}

/// Returns the unified diff of two texts; empty if they are the same.
fn between(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(old, new);
    diff.unified_diff().context_radius(3).header(old_name, new_name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_cut_out() {
        let source = "use x;\n\nfn a() {\n    fn b() {}\n}\n\n/// Not fn c().\nfn c(x: u8) {\n    1;\n}\n";
        assert_eq!(function(source, "a"), Some("fn a() {\n    fn b() {}\n}\n"));
        assert_eq!(function(source, "c"), Some("fn c(x: u8) {\n    1;\n}\n"));
        assert_eq!((function(source, "b"), function(source, "d")), (None, None));
    }
}
