//! The report to the learner: a checklist, and for the first failure what was seen, what was expected, the misconception
//! behind it, and where to read.

use std::time::Instant;

use anyhow::Result;
use exercises::Exercise;
use serde_json::json;

use super::diagnosis::Diagnosis;
use super::verdict::{Failure, Verdict};
use super::{Graded, Options, passed};
use crate::text::{self, BOLD, GREEN, RED, YELLOW, hanging, is_colored, markdown, paint, visible};
use crate::workshop::{self, Program, Progress};

/// What a check is about, as far as it is known when something goes wrong.
#[derive(Debug)]
pub struct Subject {
    /// The path of the program.
    pub program: Option<String>,
    /// The exercise; `None` means all.
    pub exercise: Option<&'static Exercise>,
    /// How many of its hints were shown.
    pub hints: usize,
    /// What the random values were drawn from.
    pub seed: u64,
    /// When the check began.
    pub start: Instant,
}

/// What the text of a report is made from.
pub(crate) struct Report<'a> {
    pub options: &'a Options,
    pub program: &'a Program,
    pub subject: &'a Subject,
    pub graded: &'a [Graded],
    /// What is noted about the program, with this check.
    pub progress: &'a Progress,
}

/// Returns the report for a person.
pub(crate) fn text(report: &Report<'_>) -> Result<String> {
    let &Report { options: &Options { all, color, .. }, program, subject, graded, progress } = report;
    let exercise = subject.exercise;
    let mut out = program.heading(exercise);
    let mut explained = Vec::new();
    // Exercises after the first failure were not checked: a page of them would push the reason off the screen.
    for it in graded.iter().filter(|it| it.verdicts.iter().any(Option::is_some)) {
        out += &card(it, is_colored(color));
        let Some(failure) = it.failure().filter(|_| all) else { continue };
        let same = explained.iter().find(|(_, other)| *other == failure);
        out += &match same {
            Some((first, _)) => format!("\n  The reason is the same as in exercise {first}.\n\n"),
            None => format!("\n{}\n", explanation(exercise.unwrap_or(it.exercise), it.exercise, failure)?),
        };
        explained.push((it.exercise.order, failure));
    }
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    let failed = graded.iter().find_map(|it| it.failure().map(|failure| (it.exercise, failure)));
    let cannot = graded.iter().flat_map(|it| it.verdicts.iter().flatten()).find_map(|verdict| match verdict {
        Verdict::CannotRun { why, cure } => Some((why, cure)),
        _ => None,
    });
    match (failed, cannot) {
        (Some((at, failure)), _) => out += &after_a_failure(report, at, failure)?,
        (None, Some((why, cure))) => {
            out += &markdown(&format!("Cannot run here: {}. {}", visible(why), visible(cure)));
        }
        (None, None) => out += &after_a_pass(report)?,
    }
    if all {
        let (green, counted) = (graded.iter().filter(|it| it.is_green()).count(), passed(graded)?.len());
        let why = match green - counted {
            0 => String::new(),
            _ => format!(" Of those, {counted} count as passed; the others build on one that fails."),
        };
        out += &format!("\n{}", markdown(&format!("{green} of {} exercises pass.{why}", graded.len())));
    }
    if let Some(asked) = exercise.filter(|it| progress.has_skipped(it) && failed.is_none()) {
        let Exercise { order, id, .. } = asked;
        let skipped = format!(
            "Exercise {order} ({id}) still counts as skipped, because `catch-up` or `reset` gave you the solution. \
             `cargo xtask reset {id}` starts from before it."
        );
        out += &format!("\n{}", markdown(&skipped));
    }
    Ok(out.replace("\n\n\n", "\n\n"))
}

/// Returns the verdicts on one exercise, a line for each check.
fn card(graded: &Graded, colored: bool) -> String {
    let paint = |text: &str, style| paint(text, Some(style).filter(|_| colored));
    let Graded { exercise: Exercise { order, id, title, checks, .. }, verdicts } = graded;
    let mut out = format!("{}\n", paint(&format!("Exercise {order} ({id}): {title}"), BOLD));
    for (check, verdict) in checks.iter().zip(verdicts) {
        let (word, more) = match verdict {
            Some(Verdict::Pass) => (paint("pass", GREEN), ""),
            Some(Verdict::Fail(_)) => (paint("FAIL", RED), ""),
            Some(Verdict::CannotRun { .. }) => (paint(" ?  ", YELLOW), " (cannot run here)"),
            None => (" -  ".to_owned(), " (not checked)"),
        };
        out += &hanging(&format!("  {word}  "), 8, &format!("{}{more}", check.sentence));
    }
    out
}

/// Returns what follows the verdicts if one is a failure, the first of which is in the exercise `at`.
fn after_a_failure(report: &Report<'_>, at: &Exercise, failure: &Failure) -> Result<String> {
    let &Report { options, program, subject: Subject { exercise, seed, .. }, progress, .. } = report;
    let asked = exercise.unwrap_or(at);
    let mut out = String::new();
    if !options.all {
        out += &explanation(asked, at, failure)?;
    }
    out += &hanging("  again      ", 13, &format!("`--seed {seed}` draws the same names, words and times"));
    if at.id != asked.id && progress.has_passed(at) {
        out += &format!("\nExercise {} passed before; a later change broke it.\n", at.order);
    }
    if at.id == asked.id && workshop::is_untouched(program, asked) {
        let (id, file) = (&asked.id, program.label(Some(asked)));
        out += &format!(
            "\n{}",
            markdown(&format!(
                "This is expected, because you haven't changed the program yet. The book and `cargo xtask hint {id} \
                 --statement` explain what to do. Then change {file}, and check again."
            ))
        );
    }
    if !program.takes(at) {
        out += &format!("\n{}", markdown(&workshop::another_kind(at)));
    }
    Ok(out)
}

/// Returns what follows the verdicts if all pass.
fn after_a_pass(report: &Report<'_>) -> Result<String> {
    let &Report { program, subject: &Subject { exercise, .. }, progress, .. } = report;
    let next = match exercise {
        Some(Exercise { id, .. }) => workshop::next(program, progress, exercise)?.filter(|next| next.id != *id),
        None => None,
    };
    // Where nothing is noted, the program isn't remembered.
    let again = match program {
        Program::Other(_) if !program.is_noted() => format!(" --cmd {}", program.label(None)),
        _ => String::new(),
    };
    let next = match next {
        Some(Exercise { order, id, title, .. }) => {
            format!("Next is exercise {order} ({id}), {title}: `cargo xtask check {id}{again}`")
        }
        None if exercise.is_none() => "You have built a container.".to_owned(),
        None => "That was the last exercise: you have built a container.".to_owned(),
    };
    Ok(markdown(&format!("All checks passed. {next}")))
}

/// Explains a failure in the exercise `at`, when `exercise` was to be graded.
fn explanation(exercise: &Exercise, at: &Exercise, failure: &Failure) -> Result<String> {
    let Failure { diagnosis, seen, expected } = failure;
    let entry = diagnosis.entry()?;
    let section = match diagnosis {
        // A command may fail to start for any reason, most likely one that the exercise is about.
        Diagnosis::NeverRan => exercise.chapter.clone(),
        Diagnosis::FlagUnknown => format!("{}#exercise-{}", at.chapter, at.id),
        _ => entry.section.clone(),
    };
    // Exercise 0 is about running the command, which a later exercise's program has broken.
    let about = if at.order == 0 { &exercise.id } else { &at.id };
    let rows = [
        ("seen", visible(seen)),
        ("expected", visible(expected)),
        ("why", format!("{} ({})", entry.text, entry.id)),
        ("read", format!("{} in the book: `cargo xtask book --open`", section.replacen(".md", ".html", 1))),
        ("hint", format!("`cargo xtask hint {about}`")),
    ];
    Ok(rows.iter().map(|(label, text)| hanging(&format!("  {label:<10} "), 13, text)).collect())
}

/// Returns the report for a machine. `exercise` is the one that was asked for, or null for all; `failed` the first one that failed,
/// or null. `checks` has what is known of every check. `errors` are the grader's own failures, or why nothing was graded.
pub(crate) fn json(subject: &Subject, graded: &[Graded], errors: &[String]) -> Result<String> {
    let mut checks = Vec::new();
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
            entry["exercise"] = json!(exercise.id);
            entry["check"] = json!(check.sentence);
            entry["rule"] = json!(check.rule);
            entry["verdict"] = json!(word);
            checks.push(entry);
        }
    }
    let has = |word: &str| checks.iter().any(|check| check["verdict"] == word);
    let worst = ["fail", "cannot"].into_iter().find(|word| has(word)).unwrap_or("pass");
    let failed = graded.iter().find(|it| it.failure().is_some()).map(|it| &it.exercise.id);
    let Subject { program, exercise, hints, seed, start } = subject;
    let mut object = json!({
        "program": program,
        "exercise": exercise.map(|it| &it.id),
        "verdict": if errors.is_empty() { worst } else { "error" },
        "failed": failed,
        "checks": checks,
        "hints": hints,
        // As text, because some readers keep only 53 bits of a number.
        "seed": seed.to_string(),
        // More digits would mean nothing.
        "seconds": (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
    });
    if !errors.is_empty() {
        object["error"] = json!(errors.join("; "));
    }
    Ok(text::json(&object))
}
