//! Programs that do harm, on purpose or by a learner's mistake. Each gets a verdict in time, and leaves nothing on the real
//! machine.
//!
//! They run only on hosts in a user namespace, because what a real root does on a host, such as remounting a file system, is
//! done to the machine.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::checker::{self, some_at_a_time};
use grader::check::diagnosis::Diagnosis::{self, *};
use grader::check::{Candidate, WALL_LIMIT};
use lab::machine::Machine;

/// These run one at a time, because they slow down everything else.
const ALONE: [(&str, &str, Diagnosis); 2] =
    [("fork-bomb.c", "run", ForksWithoutEnd), ("zombies.c", "run", ForksWithoutEnd)];

/// The program in `hostile/`, an exercise, and the diagnosis.
const TOGETHER: [(&str, &str, Diagnosis); 13] = [
    ("ignores-signals.sh", "run", TooLong),
    ("fills-stdin.sh", "run", TooLong),
    ("stops.sh", "run", TooLong),
    ("closes-pipes.sh", "run", OutputSwallowed),
    ("daemon.sh", "proc", ProcessesLeft),
    ("daemon-alone.sh", "run", NeverRan),
    ("debugger.c", "run", MountsLeft),
    ("exits.sh", "run", NeverRan),
    ("flood.sh", "run", WritesWithoutEnd),
    ("kills.sh", "run", NeverRan),
    ("mounts-over-proc.sh", "uts", IsolatedNothing),
    ("read-only.sh", "proc", MountsLeft),
    ("unmounts.sh", "proc", MountsLeft),
];

/// The two sets of sandboxes, each of which ends within a minute however busy the machine is.
const IN_TIME: Duration = WALL_LIMIT.saturating_mul(2);

/// Returns the processes of `directory`: each sandbox has it on its command line, and each program starts in it.
fn processes_of(directory: &Path) -> Vec<String> {
    let name = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if entry.file_name().to_string_lossy().parse::<u32>().is_ok()
            && (line.contains(name) || cwd.starts_with(directory))
        {
            found.push(format!("{}: {line}", entry.file_name().display()));
        }
    }
    found
}

/// Waits until no process of `directory` is left.
fn wait_for_no_process(directory: &Path) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let left = processes_of(directory);
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(3) {
            return Err(format!("still there: {left:?}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "slow: waits for time limits"]
fn hostile_programs_get_a_verdict_in_time_and_leave_nothing() {
    let _turn = checker::turn();
    let before = Machine::observe().unwrap();
    let directory = checker::own_directory("hostile");
    let sources = checker::file("hostile");
    let compiled = ["fork-bomb.c", "zombies.c", "debugger.c"]
        .map(|it| (it, checker::compile_c(it, &[&sources.join(it)], "-pthread")));
    let judge_once = |(name, id, expected): &(&str, &str, Diagnosis)| {
        let program = compiled.iter().find(|(it, _)| it == name).map(|(_, program)| program.clone());
        let program = vec![program.unwrap_or_else(|| sources.join(name)).into()];
        let start = Instant::now();
        let got = checker::verdict(&Candidate::new(program, directory.clone(), true), checker::exercise(id));
        let took = start.elapsed();
        let is_right = got == expected.id() && took <= IN_TIME;
        (!is_right).then(|| format!("{name}: {got}, after {} s", took.as_secs()))
    };
    // This machine is as busy as it can be, so a program may run out of time before it does any harm.
    let judge = |it: &_| judge_once(it).and_then(|_| judge_once(it));
    let mut faults: Vec<String> = ALONE.iter().filter_map(judge).collect();
    faults.extend(some_at_a_time(&TOGETHER, judge).into_iter().flatten());
    faults.extend(wait_for_no_process(&directory).err());
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(before, Machine::observe().unwrap());
}

#[test]
#[ignore = "slow: waits for time limits"]
fn sixty_four_checks_at_once_pass() {
    let _turn = checker::turn();
    let exercise = checker::exercise("proc");
    let directory = checker::own_directory("many");
    let source = checker::solution(exercise);
    let program = checker::build("many", "allow", &[("solution".into(), source)]).join("solution");
    let candidate = Candidate::new(vec![program.into()], directory.clone(), true);
    let start = Instant::now();
    let verdicts: Vec<String> = thread::scope(|scope| {
        let checks: Vec<_> = (0..64).map(|_| scope.spawn(|| checker::verdict(&candidate, exercise))).collect();
        checks.into_iter().map(|check| check.join().unwrap()).collect()
    });
    checker::print(&format!("64 checks at once took {:.1} s", start.elapsed().as_secs_f32()));
    assert_eq!(verdicts, ["passes"; 64]);
    wait_for_no_process(&directory).unwrap();
}
