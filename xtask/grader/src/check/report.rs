//! The report to the learner: a checklist, and for the first failure what was seen, what was expected, the misconception
//! behind it, and where to read.

use std::ffi::OsStr;

use anyhow::Result;
use exercises::Exercise;
use serde_json::json;

use super::Graded;
use super::diagnosis::Diagnosis;
use super::verdict::{Failure, Verdict};
use crate::text::{BOLD, GREEN, RED, YELLOW, hanging, markdown, paint};
use crate::workshop;

/// Returns the report on `exercise` and those before it, of the program that `--cmd` named, or of the one in `workshop/`.
pub fn text(exercise: &Exercise, graded: &[Graded], program: Option<&OsStr>, colored: bool) -> Result<String> {
    let paint = |text: &str, style| paint(text, Some(style).filter(|_| colored));
    let mut out = String::new();
    let again = program.map_or(String::new(), |it| format!(" --cmd {}", it.display()));
    if let Some(program) = program {
        out += &format!("{}\n\n", program.display());
    }
    // Exercises after the first failure were not checked: a page of them would push the reason off the screen.
    let reached = graded.iter().filter(|it| it.verdicts.iter().any(Option::is_some));
    for Graded { exercise: Exercise { order, id, title, checks, .. }, verdicts } in reached {
        out += &format!("{}\n", paint(&format!("Exercise {order} ({id}): {title}"), BOLD));
        for (check, verdict) in checks.iter().zip(verdicts) {
            let (word, more) = match verdict {
                Some(Verdict::Pass) => (paint("pass", GREEN), ""),
                Some(Verdict::Fail(_)) => (paint("FAIL", RED), ""),
                Some(Verdict::CannotRun { .. }) => (paint(" ?  ", YELLOW), " (cannot run here)"),
                None => (" -  ".to_owned(), " (not checked)"),
            };
            out += &hanging(&format!("  {word}  "), 8, &format!("{}{more}", check.sentence));
        }
    }
    out.push('\n');
    let verdicts =
        || graded.iter().flat_map(|it| it.verdicts.iter().flatten().map(move |verdict| (it.exercise, verdict)));
    let failed = verdicts().find_map(|(at, verdict)| match verdict {
        Verdict::Fail(failure) => Some((at, failure)),
        _ => None,
    });
    let cannot = verdicts().find_map(|(_, verdict)| match verdict {
        Verdict::CannotRun { why, cure } => Some((why, cure)),
        _ => None,
    });
    if let Some((at, failure)) = failed {
        out += &explanation(exercise, at, failure)?;
        if at.id != exercise.id && workshop::has_passed(at)? {
            out += &format!("\nExercise {} passed before; a later change broke it.\n", at.order);
        }
        if program.is_none() && at.id == exercise.id && workshop::is_untouched(exercise) {
            let (id, file) = (&exercise.id, workshop::source_of(exercise));
            out.push('\n');
            out += &markdown(&format!(
                "This is expected, because you haven't changed the program yet. The book and `cargo xtask hint {id} --statement` \
                 explain what to do. Then change workshop/{file}, and check again."
            ));
        }
    } else if let Some((why, cure)) = cannot {
        out += &markdown(&format!("Cannot run here: {why}. {cure}"));
    } else {
        let next = match workshop::next_after(exercise)? {
            Some(Exercise { order, id, title, .. }) => {
                format!("Next is exercise {order} ({id}), {title}: `cargo xtask check {id}{again}`")
            }
            None => "That was the last exercise: you have built a container.".to_owned(),
        };
        out += &markdown(&format!("All checks passed. {next}"));
    }
    Ok(out)
}

/// Returns what there is to say about a failure in the exercise `at`, when `exercise` was to be graded.
fn explanation(exercise: &Exercise, at: &Exercise, failure: &Failure) -> Result<String> {
    let Failure { diagnosis, seen, expected } = failure;
    let entry = diagnosis.entry()?;
    // A command that was never started may have any reason, and most likely one that the exercise is about.
    let section = if *diagnosis == Diagnosis::NeverRan { &exercise.chapter } else { &entry.section };
    // Exercise 0 is about running the command, and a later one breaks that.
    let about = if at.order == 0 { &exercise.id } else { &at.id };
    let rows = [
        ("seen", seen.clone()),
        ("expected", expected.clone()),
        ("why", format!("{} ({})", entry.text, entry.id)),
        ("read", format!("{} in the book: `cargo xtask book --open`", section.replacen(".md", ".html", 1))),
        ("hint", format!("`cargo xtask hint {about}`")),
    ];
    Ok(rows.iter().map(|(label, text)| hanging(&format!("  {label:<10} "), 13, text)).collect())
}

/// Returns the same as JSON: `exercise`, `verdict` (`pass`, `fail` or `cannot`), and `checks`, an array of objects with
/// `exercise`, `check`, `verdict` (also `none`: not checked), and of a failure `diagnosis`, `seen`, `expected`,
/// `misconception` and `section`; of one that can't be run `why` and `cure`.
pub fn json(exercise: &Exercise, graded: &[Graded]) -> Result<String> {
    let mut checks = Vec::new();
    let mut worst = "pass";
    for Graded { exercise, verdicts } in graded {
        for (check, verdict) in exercise.checks.iter().zip(verdicts) {
            let (word, mut entry) = match verdict {
                Some(Verdict::Pass) => ("pass", json!({})),
                Some(Verdict::Fail(Failure { diagnosis, seen, expected })) => {
                    let exercises::Diagnosis { id, text, section, .. } = diagnosis.entry()?;
                    let entry = json!({ "diagnosis": id, "seen": seen, "expected": expected, "misconception": text, "section": section });
                    ("fail", entry)
                }
                Some(Verdict::CannotRun { why, cure }) => ("cannot", json!({ "why": why, "cure": cure })),
                None => ("none", json!({})),
            };
            if word == "fail" || word == "cannot" && worst == "pass" {
                worst = word;
            }
            entry["exercise"] = json!(exercise.id);
            entry["check"] = json!(check.sentence);
            entry["verdict"] = json!(word);
            checks.push(entry);
        }
    }
    Ok(format!("{:#}\n", json!({ "exercise": exercise.id, "verdict": worst, "checks": checks })))
}
