//! `cargo xtask hint` and `diff`: show what to do, and the solution as a change.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use exercises::{Exercise, Language};
use lab::{output, workspace};
use similar::{Algorithm, TextDiff};

use super::{Program, Progress, known, meant, source};
use crate::catalog;
use crate::text::{markdown, quoted};

/// The options of `xtask hint`.
#[derive(Debug, clap::Args)]
pub struct Hint {
    /// Its number or name [default: the one you are at]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
    /// Show only the exercise, without hints
    #[arg(long)]
    pub statement: bool,
    /// Show every hint, the last of which is the solution
    #[arg(long, conflicts_with = "statement")]
    pub all: bool,
}

/// Prints the statement, and one hint more than last time.
pub(crate) fn hint(options: &Hint) -> Result<ExitCode> {
    let program = Program::remembered()?;
    let exercise = meant(&program, options.exercise)?;
    let Exercise { order, id, title, minutes, chapter, statement, function, .. } = exercise;
    let page = chapter.replace(".md", ".html");
    let mut out = format!("Exercise {order} ({id}): {title}\n");
    let asked = Progress::read(&program)?.hints(exercise);
    // With the first call comes the statement, and with each later one a hint.
    if options.statement || options.all || asked == 0 {
        out += &format!("\nAbout {minutes} minutes. The chapter is {page} in the book.\n\n{statement}\n");
    }
    if !program.takes(exercise) {
        out += &format!("\n{}\n", another_kind(exercise));
    }
    // Without solutions in its language, a program gets ours.
    let (language, starter, solution) = sources(&program, exercise)?;
    let mut hints = exercise.hints_for(language);
    let solution = with_header_of(&starter, &solution, language);
    let all = between(&starter, &solution, "starter", "solution");
    // The starter of exercise 0 already solves it.
    if !all.is_empty() {
        // The learner's program has developed in its own way, so these changes are for reading, not for applying.
        if let Some(change) = function_diff(&starter, &solution, function, language) {
            hints.push((format!("Our change to `{function}`"), diff_block(&change)));
        }
        let heading = format!("Our complete change; `cargo xtask diff {id} --solution` prints the result");
        hints.push((heading, diff_block(&all)));
    }
    let shown = match () {
        () if options.statement => 0,
        () if options.all => hints.len(),
        () => asked,
    };
    let first = if options.all { 0 } else { shown.saturating_sub(1) };
    for (index, (heading, body)) in hints.iter().enumerate().take(shown).skip(first) {
        out += &format!("\nHint {} of {}. {heading}\n\n{body}\n", index + 1, hints.len());
    }
    if !options.statement && !options.all {
        let next = catalog::exercises()?.iter().find(|it| it.order == order + 1 && exercise.is_step());
        out += &match next {
            _ if shown < hints.len() => {
                let again = format!("`cargo xtask hint {id}` again gives hint {} of {}", shown + 1, hints.len());
                let all = if shown > 0 { "; `--all` prints everything" } else { "" };
                format!("\n{again}{all}.")
            }
            Some(next) if program.language() == Some(language) => format!(
                "\nThere are no more hints. `cargo xtask catch-up {}` continues from our solution, and keeps a copy of \
                 your program in workshop/kept/.",
                next.id
            ),
            _ => "\nThere are no more hints.".into(),
        };
        let next = (shown + 1).min(hints.len()).to_string();
        note(&program, |progress| progress.set("hints", id, &next));
    }
    if shown == hints.len() && !all.is_empty() {
        note(&program, |progress| progress.show(exercise));
    }
    // `mine` is the Rust program.
    if program != Program::Mine {
        let path = quoted(&program.executable());
        out = ["run", "enter"]
            .iter()
            .fold(out, |out, mode| out.replace(&format!("mine {mode}"), &format!("{path} {mode}")));
    }
    output::write(&format!("{}{}", program.heading(Some(exercise)), markdown(&out)))?;
    Ok(ExitCode::SUCCESS)
}

/// Notes something in the progress. A hint is worth having where nothing can be written.
fn note(program: &Program, change: impl FnOnce(&mut Progress)) {
    if let Err(error) = Progress::update(program, change) {
        eprintln!("xtask: this hint was not noted: {error:#}");
    }
}

/// Explains what an attack is to a learner whose program makes containers.
pub(crate) fn another_kind(exercise: &Exercise) -> String {
    let id = &exercise.id;
    format!(
        "This exercise needs another kind of program: `PROGRAM COMMAND [ARG...]` is put into a container, and gets out of it. It must \
         be a single, statically linked file, because it can use nothing from the rootfs. A script won't do. \
         `cargo xtask check {id} --cmd PROGRAM` grades one."
    )
}

/// The options of `xtask diff`.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// Its number or name [default: the one you began or passed last]
    // Not the next one, so that its solution isn't shown by mistake.
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
    /// Print the complete solution instead
    #[arg(long)]
    pub solution: bool,
}

/// Prints the changes from the learner's program to the solution of an exercise.
pub(crate) fn diff(options: &Diff) -> Result<ExitCode> {
    let program = Program::remembered()?;
    let next = meant(&program, None)?;
    let exercise = match options.exercise {
        Some(exercise) => exercise,
        None => known(Progress::read(&program)?.value("at", "exercise"))?.unwrap_or(next),
    };
    let Exercise { order, id, .. } = exercise;
    let (language, _, solution) = sources(&program, exercise)?;
    // A difference from the program of an earlier exercise shows the solution, too.
    note(&program, |progress| progress.show(exercise));
    if options.solution {
        output::write(&solution)?;
        return Ok(ExitCode::SUCCESS);
    }
    if program.language() != Some(language)
        && let Program::Other(path) = &program
    {
        let remark = format!(
            "Your program is {}, and our solution of exercise {order} ({id}) is in {}, so comparing them wouldn't help. \
             `cargo xtask diff {id} --solution` prints the solution, and `cargo xtask hint {id}` gives one hint at a time.",
            quoted(path),
            language.title()
        );
        output::write(&markdown(&remark))?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = program.label(Some(exercise));
    let mine = if program == Program::Mine { source(exercise)? } else { program.source(exercise)? };
    let mine = fs::read_to_string(&mine).with_context(|| format!("reading {}", mine.display()))?;
    let solution = with_header_of(&mine, &solution, language);
    let difference = between(&mine, &solution, &file, &format!("the solution of {id}"));
    output::write(if difference.is_empty() { "Your program and the solution are the same.\n" } else { &difference })?;
    let has_passed = Progress::read(&program)?.has_passed(exercise);
    if has_passed && options.exercise.is_none() && next.id != *id {
        let remark = format!(
            "This is exercise {order} ({id}), which you have passed. `cargo xtask hint {} --all` ends with the solution of the next one.",
            next.id
        );
        eprint!("{}", markdown(&remark));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what an exercise starts from and its solution: in the program's language if there is one, otherwise in Rust.
fn sources(program: &Program, exercise: &Exercise) -> Result<(Language, String, String)> {
    let (root, all) = (workspace::root(), catalog::exercises()?);
    for language in program.language().into_iter().chain([Language::Rust]) {
        let starter = exercise.starter_in(root, all, language)?;
        if let Some((starter, solution)) = starter.zip(exercise.solution_in(root, all, language)?) {
            return Ok((language, starter, solution));
        }
    }
    bail!("exercise {} has no solution", exercise.id)
}

/// Returns the solution with the header of `other`, because their headers introduce different programs.
fn with_header_of(other: &str, solution: &str, language: Language) -> String {
    if language != Language::Rust {
        return solution.to_owned();
    }
    let header = other.strip_suffix(exercises::without_header(other)).unwrap_or_default();
    header.to_owned() + exercises::without_header(solution)
}

fn diff_block(diff: &str) -> String {
    format!("```diff\n{diff}```")
}

/// Returns the difference between two sources in one of their top-level functions, if the solution has it.
fn function_diff(starter: &str, solution: &str, name: &str, language: Language) -> Option<String> {
    let new = language.function(solution, name)?;
    Some(language.function(starter, name).map_or(new.to_owned(), |old| between(old, new, "starter", "solution")))
}

/// Returns the unified diff of two texts; empty if they are the same.
fn between(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(old, new);
    diff.unified_diff().context_radius(3).header(old_name, new_name).to_string()
}
