//! The checker is tested with wrong programs, each of which must get its own diagnosis and no other, and with right ones of
//! another shape, which must pass. They are the `mutants.diff` of each exercise: small edits of the solution, so that they
//! can't rot, because an edit that no longer applies is an error.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use exercises::{Exercise, Kind, edits};
use grader::catalog;
use grader::check::diagnosis::Diagnosis;
use lab::workspace;

use crate::checker::{Outcome, candidate, must_fail, must_pass, some_at_a_time, tally};

/// Diagnoses that no wrong program of the table can get, and why.
const NOT_COVERED: &[(Diagnosis, &str)] = &[
    (Diagnosis::NotAProgram, "there is no source to edit: see what_can_not_be_executed_is_no_program"),
    (Diagnosis::NotStatic, "it is how a program is linked: see an_attack_that_needs_a_loader_is_told_so"),
    (Diagnosis::CgroupNotJoined, "it takes a cgroup: see a_second_command_outside_of_the_containers_cgroup_is_found"),
];

/// A program that differs from a solution by a few lines.
struct Mutant {
    name: String,
    /// The exercise whose solution it is made of, and by which it is graded.
    exercise: &'static Exercise,
    /// The diagnosis of its first failure; none if it is as right as the solution.
    diagnosis: Option<Diagnosis>,
    /// True if it is right on a host without a user namespace.
    passes_as_root: bool,
    source: String,
}

/// All of them.
static TABLE: LazyLock<Vec<Mutant>> = LazyLock::new(|| {
    let mut table = Vec::new();
    for exercise in catalog::exercises().unwrap() {
        let solution = crate::checker::solution(exercise);
        for exercises::Mutant { name, diagnosis, passes_as_root, edits } in exercise.mutants(workspace::root()).unwrap()
        {
            let find =
                |id: String| Diagnosis::find(&id).unwrap_or_else(|| panic!("{name}: there is no diagnosis {id}"));
            let source = edits::apply(&solution, &edits).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            table.push(Mutant { diagnosis: diagnosis.map(find), name, exercise, passes_as_root, source });
        }
    }
    table
});

impl Mutant {
    /// It and all others, built.
    fn program(&self) -> PathBuf {
        static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
            let programs = TABLE.iter().filter(|it| it.exercise.kind == Kind::Container);
            let sources: Vec<_> = programs.map(|it| (it.name.clone(), it.source.clone())).collect();
            crate::checker::build("mutants", "allow", &sources)
        });
        match self.exercise.kind {
            Kind::Container => PROGRAMS.join(&self.name),
            // Copied into a rootfs, it would not know its name any more.
            Kind::Attack => crate::checker::build_static("attacks", &self.name, &self.source),
        }
    }

    fn graded(&self) -> Outcome {
        static ROOM: LazyLock<PathBuf> = LazyLock::new(|| crate::checker::own_room("mutants"));
        let candidate = candidate(self.program(), &ROOM);
        match self.diagnosis {
            Some(_) if self.passes_as_root && !candidate.in_user_namespace => must_pass(&candidate, self.exercise),
            Some(diagnosis) => must_fail(&candidate, self.exercise, diagnosis),
            None => must_pass(&candidate, self.exercise),
        }
    }
}

fn grade_all(what: &str, which: impl Fn(&Mutant) -> bool) {
    let chosen: Vec<&Mutant> = TABLE.iter().filter(|it| which(it)).collect();
    tally(what, &some_at_a_time(&chosen, |it| (it.name.as_str(), it.graded())));
}

#[test]
#[ignore = "slow: grades two hundred programs"]
fn each_wrong_program_gets_its_own_name() {
    grade_all("mutants with their own name", |it| it.diagnosis.is_some());
}

#[test]
#[ignore = "slow: grades two hundred programs"]
fn a_right_program_may_differ_from_the_solution() {
    grade_all("right programs beside them that pass", |it| it.diagnosis.is_none());
}

#[test]
#[ignore = "slow: grades two hundred programs"]
fn what_can_not_be_executed_is_no_program() {
    let run = crate::checker::exercise("run");
    let room = crate::checker::own_room("no-program");
    let (source, text) = (workspace::root().join(&run.starter_base), room.join("text"));
    fs::write(&text, "not even a script\n").unwrap();
    let programs = [room.join("no-such"), room.clone(), source, text];
    let results = programs.each_ref().map(|program| {
        let candidate = candidate(program, &room);
        (program.to_str().unwrap(), must_fail(&candidate, run, Diagnosis::NotAProgram))
    });
    tally("what can't be executed is no program", &results);
}

#[test]
#[ignore = "slow: grades two hundred programs"]
fn each_diagnosis_has_a_wrong_program() {
    let covered: HashSet<Diagnosis> = TABLE.iter().filter_map(|it| it.diagnosis).collect();
    for (diagnosis, why) in NOT_COVERED {
        assert!(!covered.contains(diagnosis), "{} is covered, though it is said that {why}", diagnosis.id());
    }
    let excepted = |it: &Diagnosis| NOT_COVERED.iter().any(|(diagnosis, _)| diagnosis == it);
    let missing: Vec<String> =
        Diagnosis::ALL.iter().filter(|it| !covered.contains(it) && !excepted(it)).map(|it| it.id()).collect();
    assert!(missing.is_empty(), "no wrong program gets {missing:?}");
}
