//! The checker is tested with programs in any language, `xtask/exercises/ID/programs/`: wrong ones, each of which must get a
//! diagnosis that it names, and right ones, which must pass.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use exercises::{Exercise, Kind, Program};
use grader::catalog;
use grader::check::verdict::Verdict;
use lab::workspace;

use crate::checker::{self, candidate, compile_c, exercise, first_not_passed, own_room, some_at_a_time};

/// Returns what this machine lacks for a program, or for building it.
fn missing(program: &Program, in_user_namespace: bool) -> Option<&str> {
    let on_path =
        |name: &str| env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|it| it.join(name).is_file());
    program.needs.iter().map(String::as_str).find(|need| match *need {
        "root" => in_user_namespace,
        "x86_64" => env::consts::ARCH != "x86_64",
        name => !on_path(name),
    })
}

/// Returns the file to execute, which is the program itself if it is a script.
fn build(program: &Program, kind: Kind) -> PathBuf {
    let source = workspace::root().join(&program.path);
    let container = Path::new(exercises::EXERCISES).join("proc/programs/container.c");
    let name = program.name.replace('/', "-");
    match source.extension().and_then(|it| it.to_str()) {
        // An attack is executed in another root, where it can't find a library.
        Some("c") if kind == Kind::Attack => compile_c(&name, &[&source], "-static"),
        Some("c") if program.path == container => compile_c(&name, &[&source], "-pthread"),
        Some("c") => compile_c(&name, &[&source, &workspace::root().join(container)], "-pthread"),
        Some("go") => {
            let built = checker::test_programs("go").join(name);
            let mut go = Command::new("go");
            go.args(["build", "-o"]).arg(&built).arg(&source).env("CGO_ENABLED", "0");
            assert!(go.status().unwrap().success(), "{} does not compile", program.name);
            built
        }
        _ => source,
    }
}

/// Grades a program, and returns `passes`, the id of a diagnosis, or why there is no verdict.
fn graded(built: &Path, room: &Path, exercise: &'static Exercise) -> String {
    match first_not_passed(&candidate(built, room), exercise) {
        Ok(None) => "passes".to_owned(),
        Ok(Some(found)) => match (found.diagnosis(), found.verdict) {
            (Some(diagnosis), _) => diagnosis.id(),
            (None, Verdict::CannotRun { why, .. }) => format!("cannot run: {why}"),
            (None, verdict) => format!("{verdict:?}"),
        },
        Err(error) => error,
    }
}

#[test]
#[ignore = "slow: grades a hundred programs"]
fn each_program_gets_the_verdict_that_it_wants() {
    let room = own_room("programs");
    let in_user_namespace = candidate("", &room).in_user_namespace;
    let mut lines = String::new();
    let mut runs = Vec::new();
    for its_exercise in catalog::exercises().unwrap() {
        for program in its_exercise.programs(workspace::root()).unwrap() {
            if let Some(need) = missing(&program, in_user_namespace) {
                let _ = writeln!(lines, "CANNOT RUN HERE: {} needs {need}", program.name);
                continue;
            }
            let built = build(&program, its_exercise.kind);
            let others = program.also.iter().map(|id| exercise(id));
            runs.extend([its_exercise].into_iter().chain(others).map(|it| (it, program.clone(), built.clone())));
        }
    }
    let verdicts = some_at_a_time(&runs, |(exercise, _, built)| graded(built, &room, exercise));
    let (mut tally, mut unwanted) = (BTreeMap::new(), 0);
    for ((exercise, Program { name, wants, .. }, _), got) in runs.iter().zip(verdicts) {
        let (outcome, as_wanted) = match (wants.as_slice(), got.as_str()) {
            (_, got) if got.starts_with("cannot run") => ("cannot run here", exercise.needs.is_some()),
            ([], "passes") => ("right: passed", true),
            ([], _) => ("right: refused", false),
            (_, "passes") => ("wrong: passed", false),
            (wants, got) if wants.iter().any(|id| id == got) => ("wrong: caught with a fitting name", true),
            _ => ("wrong: caught with another name", false),
        };
        *tally.entry(outcome).or_insert(0) += 1;
        unwanted += i32::from(!as_wanted);
        if !as_wanted || outcome == "cannot run here" {
            let wanted = if wants.is_empty() { "passes".to_owned() } else { wants.join(" | ") };
            let _ = writeln!(lines, "{}: {name}: wants {wanted}, and got {got}", exercise.id);
        }
    }
    for (outcome, count) in tally {
        let _ = writeln!(lines, "{count} {outcome}");
    }
    // The macros' output is hidden when a test passes.
    io::stderr().write_all(lines.as_bytes()).unwrap();
    assert_eq!(unwanted, 0, "these programs got another verdict, see above");
}
