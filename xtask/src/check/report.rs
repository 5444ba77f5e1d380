//! What a learner is told: a checklist, and of the first failure what was seen, what should have been, which misconception
//! that is, and where to read.

use std::ffi::OsStr;
use std::fmt::Write as _;

use anyhow::Result;
use exercises::Exercise;

use super::Graded;
use super::diagnosis::Diagnosis;
use super::verdict::{Failure, Verdict};
use crate::json::quoted;
use crate::workshop;

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const BOLD: &str = "1";

/// The report on `exercise` and those before it, of the program that `--cmd` named, or of the one in `workshop/`.
///
/// # Errors
/// When the diagnoses or the progress can't be read.
pub fn text(exercise: &Exercise, graded: &[Graded], program: Option<&OsStr>, colored: bool) -> Result<String> {
    let paint = |text: &str, style: &str| match colored {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let mut out = String::new();
    let again = program.map_or(String::new(), |it| format!(" --cmd {}", it.display()));
    if let Some(program) = program {
        let _ = writeln!(out, "{}\n", program.display());
    }
    // Those behind the first that fails were not looked at: a page of them would only push the reason off the screen.
    let reached = graded.iter().filter(|it| it.verdicts.iter().any(Option::is_some));
    for Graded { exercise, verdicts } in reached {
        let Exercise { order, id, title, .. } = exercise;
        let _ = writeln!(out, "{}", paint(&format!("Exercise {order} ({id}): {title}"), BOLD));
        for (check, verdict) in exercise.checks.iter().zip(verdicts) {
            let (word, more) = match verdict {
                Some(Verdict::Pass) => (paint("pass", GREEN), ""),
                Some(Verdict::Fail(_)) => (paint("FAIL", RED), ""),
                Some(Verdict::CannotRun { .. }) => (paint(" ?  ", YELLOW), " (cannot run here)"),
                None => (" -  ".to_owned(), " (not looked at)"),
            };
            let _ = writeln!(out, "  {word}  {}{more}", check.sentence);
        }
    }
    out.push('\n');
    let verdicts =
        || graded.iter().flat_map(|it| it.verdicts.iter().flatten().map(move |verdict| (it.exercise, verdict)));
    let failed = verdicts().find_map(|(at, verdict)| match verdict {
        Verdict::Fail(failure) => Some((at, failure)),
        _ => None,
    });
    let cannot = verdicts().find_map(|(at, verdict)| match verdict {
        Verdict::CannotRun { why, cure } => Some((at, why, cure)),
        _ => None,
    });
    if let Some((at, failure)) = failed {
        let Failure { diagnosis, seen, expected } = failure;
        let entry = diagnosis.entry()?;
        let _ = writeln!(out, "  seen       {seen}");
        let _ = writeln!(out, "  expected   {expected}");
        let _ = writeln!(out, "  why        {} ({})", entry.text, entry.id);
        // That a command was never started may have any reason, and most likely one that the exercise is about.
        let section = match diagnosis {
            Diagnosis::NeverRan => &exercise.chapter,
            _ => &entry.section,
        };
        let page = section.replacen(".md", ".html", 1);
        let _ = writeln!(out, "  read       {page} in the book: `cargo xtask book --open`");
        // Exercise 0 asks that the command runs, and it is the later ones that get in the way of that.
        let about = if at.order == 0 { &exercise.id } else { &at.id };
        let _ = writeln!(out, "  hint       `cargo xtask hint {about}`");
        if at.id != exercise.id && workshop::has_passed(at)? {
            let _ = writeln!(
                out,
                "\nExercise {} held before: it is what you have changed since that gets in its way.",
                at.order
            );
        }
        if program.is_none() && at.id == exercise.id && workshop::is_untouched(exercise) {
            let _ = writeln!(
                out,
                "\nThat is as it should be: the program has not been changed yet. What to do is in the book, and in\n\
                 `cargo xtask hint {} --statement`; then change workshop/{}, and check again.",
                exercise.id,
                workshop::source_of(exercise)
            );
        }
    } else if let Some((_, why, cure)) = cannot {
        let _ = writeln!(out, "Cannot run here: {why}. {cure}");
    } else {
        let next = workshop::next_after(exercise)?;
        let _ = write!(out, "All as it should be.");
        match next {
            Some(next) => {
                let Exercise { order, id, title, .. } = next;
                let _ = writeln!(out, " Next, exercise {order} ({id}): {title}. `cargo xtask check {id}{again}`");
            }
            None => out.push_str(" That was the last exercise: you have built a container.\n"),
        }
    }
    Ok(out)
}

/// The same as JSON: `exercise`, `verdict` (`pass`, `fail` or `cannot`), and `checks`, an array of objects with `exercise`,
/// `check`, `verdict` (also `none`: not looked at), and of a failure `diagnosis`, `seen`, `expected`, `misconception` and
/// `section`; of one that can't be run `why` and `cure`.
///
/// # Errors
/// When the diagnoses can't be read.
pub fn json(exercise: &Exercise, graded: &[Graded]) -> Result<String> {
    let mut checks = Vec::new();
    let mut worst = "pass";
    for Graded { exercise, verdicts } in graded {
        for (check, verdict) in exercise.checks.iter().zip(verdicts) {
            let mut members = vec![("exercise", exercise.id.clone()), ("check", check.sentence.clone())];
            let word = match verdict {
                Some(Verdict::Pass) => "pass",
                Some(Verdict::Fail(_)) => "fail",
                Some(Verdict::CannotRun { .. }) => "cannot",
                None => "none",
            };
            members.push(("verdict", word.to_owned()));
            match verdict {
                Some(Verdict::Fail(Failure { diagnosis, seen, expected })) => {
                    worst = "fail";
                    let entry = diagnosis.entry()?;
                    members.extend([
                        ("diagnosis", entry.id.clone()),
                        ("seen", seen.clone()),
                        ("expected", expected.clone()),
                        ("misconception", entry.text.clone()),
                        ("section", entry.section.clone()),
                    ]);
                }
                Some(Verdict::CannotRun { why, cure }) => {
                    worst = if worst == "fail" { worst } else { "cannot" };
                    members.extend([("why", why.clone()), ("cure", cure.clone())]);
                }
                Some(Verdict::Pass) | None => {}
            }
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
            checks.push(format!("    {{{}}}", members.join(", ")));
        }
    }
    Ok(format!(
        "{{\n  \"exercise\": {},\n  \"verdict\": {},\n  \"checks\": [\n{}\n  ]\n}}\n",
        quoted(&exercise.id),
        quoted(worst),
        checks.join(",\n")
    ))
}
