//! The checker is tested: wrong programs, each of which must get the name of its misconception, and no other; and right
//! ones beside them, which must pass. They are small edits of the solutions, so that they can't rot: an edit that no
//! longer applies is an error. Those of an exercise are in `mutants/EXERCISE.diff`:
//!
//! ```text
//! == its-name: what it must be called, or `passes`; with `, but passes for a real root` if it is wrong in a user namespace only
//! @@
//! -what stands in the solution, once
//! +what stands there instead
//!  lines on both sides
//! ```
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use xtask::check::diagnosis::Diagnosis;
use xtask::exercises::{self, Exercise, Kind};

mod checker;

use checker::{Outcome, candidate, must_fail, must_pass, some_at_a_time, tally};

/// Diagnoses that no wrong program of the table can get, and why.
const NOT_COVERED: &[(Diagnosis, &str)] = &[
    (Diagnosis::NotAProgram, "there is no source to edit: see what_can_not_be_executed_is_no_program"),
    (Diagnosis::NotStatic, "it is how a program is linked: see an_attack_that_needs_a_loader_is_told_so"),
];

/// A program that differs from a solution by a few lines.
struct Mutant {
    name: &'static str,
    /// The exercise whose solution it is made of, and by which it is graded.
    exercise: &'static Exercise,
    /// The diagnosis of its first failure; none if it is as right as the solution.
    diagnosis: Option<Diagnosis>,
    /// Is it right on a host without a user namespace?
    is_right_for_root: bool,
    /// What stands there, and what stands there instead.
    edits: Vec<(String, String)>,
}

/// All of them.
fn table() -> &'static [Mutant] {
    static TABLE: LazyLock<Vec<Mutant>> = LazyLock::new(|| {
        let mut table = Vec::new();
        for exercise in exercises::ALL {
            let path = checker::file(&format!("mutants/{}.diff", exercise.id));
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
            let (name, verdict) = head.split_once(": ").expect(&misplaced);
            let for_user = verdict.strip_suffix(", but passes for a real root");
            let diagnosis = match for_user.unwrap_or(verdict) {
                "passes" => None,
                id => Some(Diagnosis::find(id).unwrap_or_else(|| panic!("{name}: there is no diagnosis {id}"))),
            };
            let is_right_for_root = for_user.is_some();
            mutants.push(Mutant { name, exercise, diagnosis, is_right_for_root, edits: Vec::new() });
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

impl Mutant {
    fn source(&self) -> String {
        let edits: Vec<_> = self.edits.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        let source = exercises::solution(self.exercise).and_then(|solution| exercises::edit(&solution, &edits));
        source.unwrap_or_else(|error| panic!("{}, {}: {error:#}", self.exercise.id, self.name))
    }

    /// It and all others, built.
    fn program(&self) -> PathBuf {
        static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
            let programs = table().iter().filter(|it| it.exercise.kind == Kind::Program);
            let sources: Vec<_> = programs.map(|it| (it.name.to_owned(), it.source())).collect();
            checker::build("mutants", &sources)
        });
        match self.exercise.kind {
            Kind::Program => PROGRAMS.join(self.name),
            // Copied into a rootfs, it would not know its name any more.
            Kind::Attack => checker::build_static("attacks", self.name, &self.source()),
        }
    }

    fn graded(&self) -> Outcome {
        static ROOM: LazyLock<PathBuf> = LazyLock::new(|| checker::own_room("mutants"));
        let candidate = candidate(self.program(), &ROOM);
        match self.diagnosis {
            Some(_) if self.is_right_for_root && !candidate.in_user_namespace => must_pass(&candidate, self.exercise),
            Some(diagnosis) => must_fail(&candidate, self.exercise, diagnosis),
            None => must_pass(&candidate, self.exercise),
        }
    }
}

fn grade_all(what: &str, which: impl Fn(&Mutant) -> bool) {
    let chosen: Vec<&Mutant> = table().iter().filter(|it| which(it)).collect();
    tally(what, &some_at_a_time(&chosen, |it| (it.name, it.graded())));
}

#[test]
fn each_wrong_program_gets_its_own_name() {
    grade_all("mutants with their own name", |it| it.diagnosis.is_some());
}

#[test]
fn a_right_program_may_differ_from_the_solution() {
    grade_all("right programs beside them that pass", |it| it.diagnosis.is_none());
}

#[test]
fn what_can_not_be_executed_is_no_program() {
    let room = checker::own_room("no-program");
    let (source, text) = (xtask::workspace::root().join(exercises::ALL[0].solution), room.join("text"));
    fs::write(&text, "not even a script\n").unwrap();
    let programs = [room.join("no-such"), room.clone(), source, text];
    let results = programs.each_ref().map(|program| {
        let candidate = candidate(program, &room);
        (program.to_str().unwrap(), must_fail(&candidate, &exercises::ALL[0], Diagnosis::NotAProgram))
    });
    tally("what can't be executed is no program", &results);
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
