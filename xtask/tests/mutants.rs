//! The checker is tested: wrong programs, each of which must get the name of its misconception, and no other; and right
//! ones beside them, which must pass. They are small edits of the solutions, so that they can't rot: an edit that no
//! longer applies is an error. Those of an exercise are in `mutants/EXERCISE.diff`:
//!
//! ```text
//! == its-name: what it must be called, or `passes`
//! @@
//! -what stands in the solution, once
//! +what stands there instead
//!  lines on both sides
//! ```
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use xtask::check::diagnosis::Diagnosis;
use xtask::exercises::{self, Exercise};

mod common;
use common::{candidate, must_fail, must_pass, some_at_a_time, tally};

/// Diagnoses that no wrong program of the table can get, and why.
const NOT_COVERED: &[(Diagnosis, &str)] = &[
    (Diagnosis::NotAProgram, "there is no source to edit: see what_can_not_be_executed_is_no_program"),
    (Diagnosis::ZombiesKept, "its exercise is not in the table yet"),
    (Diagnosis::OrphansLeft, "its exercise is not in the table yet"),
    (Diagnosis::EnvironmentLeaked, "its exercise is not in the table yet"),
    (Diagnosis::NoPath, "its exercise is not in the table yet"),
    (Diagnosis::DescriptorsLeaked, "its exercise is not in the table yet"),
    (Diagnosis::NoDevNull, "its exercise is not in the table yet"),
    (Diagnosis::DevNullIsAFile, "its exercise is not in the table yet"),
    (Diagnosis::FlagIgnored, "its exercise is not in the table yet"),
    (Diagnosis::VolumeMissing, "its exercise is not in the table yet"),
    (Diagnosis::VolumeWritable, "its exercise is not in the table yet"),
    (Diagnosis::NoEscape, "its exercise is not in the table yet"),
    (Diagnosis::StillEscapes, "its exercise is not in the table yet"),
    (Diagnosis::OldRootReachable, "its exercise is not in the table yet"),
    (Diagnosis::NoUserNamespace, "its exercise is not in the table yet"),
    (Diagnosis::NotMapped, "its exercise is not in the table yet"),
    (Diagnosis::NoLimit, "its exercise is not in the table yet"),
    (Diagnosis::LimitTooHigh, "its exercise is not in the table yet"),
    (Diagnosis::CgroupLeft, "its exercise is not in the table yet"),
    (Diagnosis::RootfsChanged, "its exercise is not in the table yet"),
    (Diagnosis::NoNetworkNamespace, "its exercise is not in the table yet"),
    (Diagnosis::NoLoopback, "its exercise is not in the table yet"),
    (Diagnosis::NoLink, "its exercise is not in the table yet"),
    (Diagnosis::NotReachable, "its exercise is not in the table yet"),
];

/// A program that differs from a solution by a few lines.
struct Mutant {
    name: &'static str,
    /// The exercise whose solution it is made of, and by which it is graded.
    exercise: &'static Exercise,
    /// The diagnosis of its first failure; none if it is as right as the solution.
    diagnosis: Option<Diagnosis>,
    /// What stands there, and what stands there instead.
    edits: Vec<(String, String)>,
}

/// All of them.
fn table() -> &'static [Mutant] {
    static TABLE: LazyLock<Vec<Mutant>> = LazyLock::new(|| {
        let mut table = Vec::new();
        for exercise in exercises::ALL {
            let path = common::file(&format!("mutants/{}.diff", exercise.id));
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            table.extend(parse(exercise, text.leak()));
        }
        table
    });
    &TABLE
}

fn parse(exercise: &'static Exercise, text: &'static str) -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    for line in text.lines() {
        let misplaced = format!("{}: this line has no place: {line:?}", exercise.id);
        if let Some(head) = line.strip_prefix("== ") {
            let (name, diagnosis) = head.split_once(": ").expect(&misplaced);
            let diagnosis = match diagnosis {
                "passes" => None,
                id => Some(Diagnosis::find(id).unwrap_or_else(|| panic!("{name}: there is no diagnosis {id}"))),
            };
            mutants.push(Mutant { name, exercise, diagnosis, edits: Vec::new() });
            continue;
        }
        let edits = mutants.last_mut().map(|it| &mut it.edits).expect(&misplaced);
        if line == "@@" {
            edits.push(Default::default());
        } else if !line.is_empty() {
            let (old, new) = edits.last_mut().expect(&misplaced);
            let (sign, rest) = line.split_at(1);
            let rest = format!("{rest}\n");
            match sign {
                "-" => old.push_str(&rest),
                "+" => new.push_str(&rest),
                " " => [old, new].into_iter().for_each(|it| it.push_str(&rest)),
                _ => panic!("{misplaced}"),
            }
        }
    }
    mutants
}

/// The folder with all of them, built.
fn programs() -> &'static Path {
    static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
        let sources = table().iter().map(|Mutant { name, exercise, edits, .. }| {
            let edits: Vec<_> = edits.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
            let source = exercises::solution(exercise).and_then(|solution| exercises::edit(&solution, &edits));
            ((*name).to_owned(), source.unwrap_or_else(|error| panic!("{}, {name}: {error:#}", exercise.id)))
        });
        common::build("mutants", &sources.collect::<Vec<_>>())
    });
    &PROGRAMS
}

#[test]
fn each_wrong_program_gets_its_own_name() {
    let wrong: Vec<_> = table().iter().filter_map(|it| Some((it, it.diagnosis?))).collect();
    let results = some_at_a_time(&wrong, |(Mutant { name, exercise, .. }, diagnosis)| {
        (*name, must_fail(&candidate(programs().join(name)), exercise, *diagnosis))
    });
    tally("mutants with their own name", &results);
}

#[test]
fn a_right_program_may_differ_from_the_solution() {
    let right: Vec<_> = table().iter().filter(|it| it.diagnosis.is_none()).collect();
    let results = some_at_a_time(&right, |Mutant { name, exercise, .. }| {
        (*name, must_pass(&candidate(programs().join(name)), exercise))
    });
    tally("right programs that pass", &results);
}

#[test]
fn what_can_not_be_executed_is_no_program() {
    let source = exercises::ALL[0].solution;
    let folder = candidate("").folder;
    let text = folder.join("text");
    fs::write(&text, "not even a script\n").unwrap();
    for program in [folder.join("no-such"), folder.clone(), xtask::workspace::root().join(source), text] {
        must_fail(&candidate(&program), &exercises::ALL[0], Diagnosis::NotAProgram).unwrap();
    }
}

#[test]
fn each_diagnosis_has_a_wrong_program() {
    let covered: HashSet<Diagnosis> = table().iter().filter_map(|it| it.diagnosis).collect();
    for (diagnosis, why) in NOT_COVERED {
        assert!(!covered.contains(diagnosis), "{} is covered, though it is said that {why}", diagnosis.id());
    }
    let excepted = |it: &Diagnosis| NOT_COVERED.iter().any(|(diagnosis, _)| diagnosis == it);
    let missing: Vec<&str> =
        Diagnosis::all().filter(|it| !covered.contains(it) && !excepted(it)).map(Diagnosis::id).collect();
    assert!(missing.is_empty(), "no wrong program gets {missing:?}");
}
