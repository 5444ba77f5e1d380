//! `cargo xtask status`: lists the exercises track by track, and which of them were passed.

use std::process::ExitCode;

use anyhow::Result;
use exercises::{Exercise, Track};
use lab::{output, workspace};
use serde_json::{Value, json};

use super::{Program, Progress, in_order, open};
use crate::text::{self, hanging};

/// The options of `xtask status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print JSON instead of the list
    #[arg(long)]
    pub json: bool,
}

/// Prints each exercise and whether it was passed.
pub(crate) fn status(options: &Status) -> Result<ExitCode> {
    let program = Program::remembered()?;
    let progress = Progress::read(&program)?;
    output::write(&if options.json { as_json(&program, &progress)? } else { as_text(&program, &progress)? })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what `progress.txt` notes about an exercise, in one word; empty if nothing.
fn word(progress: &Progress, exercise: &Exercise) -> &'static str {
    match () {
        () if progress.was_shown(exercise) => "shown",
        () if progress.has_passed(exercise) => "passed",
        () if progress.value("passed", &exercise.id).is_some() => "changed",
        () if progress.has_skipped(exercise) => "skipped",
        () => "",
    }
}

fn as_text(program: &Program, progress: &Progress) -> Result<String> {
    let all = in_order()?;
    let count = |some: &[&Exercise], wanted: &str| some.iter().filter(|it| word(progress, it) == wanted).count();
    let count_passed = |some: &[&Exercise]| some.iter().filter(|it| progress.has_passed(it)).count();
    let mut out = program.heading(None);
    for track in Track::ALL {
        let of_track: Vec<_> = all.iter().copied().filter(|it| it.track == track).collect();
        if of_track.is_empty() {
            continue;
        }
        let minutes: u32 = of_track.iter().map(|it| it.minutes).sum();
        let (passed, total) = (count_passed(&of_track), of_track.len());
        out += &format!("{}, {minutes} minutes: {passed} of {total} passed\n", track.title());
        for exercise in of_track {
            let Exercise { order, id, title, minutes, .. } = exercise;
            let word = word(progress, exercise);
            out += &hanging(&format!("{order:>3} {id:<9} {minutes:>3} min  {word:<7}  "), 32, title);
        }
        out.push('\n');
    }
    let minutes: u32 = all.iter().map(|it| it.minutes).sum();
    let passed = count_passed(&all);
    let total = format!("{passed} of {} passed. All of them together take about {minutes} minutes.", all.len());
    out += &hanging("", 0, &total);
    for (wanted, means) in [
        ("shown", "passed after you were shown the solution"),
        ("changed", "the exercise has changed since you passed it; check it again"),
        ("skipped", "`catch-up` or `reset` gave you its solution; `cargo xtask reset EXERCISE` lets you do it"),
    ] {
        if count(&all, wanted) > 0 {
            out += &hanging(&format!("{wanted}: "), 9, means);
        }
    }
    if !workspace::workshop().is_dir() {
        out += "There is no workshop/ yet: `cargo xtask workshop start` makes it.\n";
    }
    Ok(out)
}

fn as_json(program: &Program, progress: &Progress) -> Result<String> {
    let all = in_order()?;
    let exercises = all.iter().map(|it| {
        let state = match word(progress, it) {
            "" => "open",
            // It is kept apart, in a member of its own.
            "shown" => "passed",
            word => word,
        };
        json!({
            "exercise": it.id, "order": it.order, "title": it.title, "track": it.track.id(), "minutes": it.minutes,
            "state": state, "hints": progress.hints(it), "shown": progress.value("shown", &it.id).is_some(),
        })
    });
    let exercises: Vec<Value> = exercises.collect();
    let passed = exercises.iter().filter(|it| it["state"] == "passed").count();
    Ok(text::json(&json!({
        "program": program.plain_label(None),
        "next": open(program, progress)?.map(|it| &it.id),
        "passed": passed,
        "exercises": exercises,
    })))
}
