//! Programs that do harm, on purpose or by a learner's mistake. Each gets a verdict in time, and leaves nothing on the real
//! machine.
//!
//! They run only on hosts in a user namespace, because what a real root does on a host, such as remounting a file system, is
//! done to the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::checker::{Outcome, must_fail, some_at_a_time, tally};
use grader::check::diagnosis::Diagnosis::{self, *};
use grader::check::{Candidate, WALL_LIMIT};
use lab::{mountinfo, workspace};

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

/// What a program could have changed on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    name: String,
    mounts: Vec<PathBuf>,
}

impl Machine {
    fn snapshot() -> Machine {
        let places =
            [workspace::root().to_owned(), lab::cargo::target_directory().unwrap(), "/proc".into(), "/tmp".into()];
        let mut mounts = mountinfo::own().unwrap().into_iter().map(|it| it.point).collect::<Vec<_>>();
        mounts.retain(|point| point == Path::new("/") || places.iter().any(|place| point.starts_with(place)));
        Machine { name: fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), mounts }
    }
}

/// Returns the processes of `room`: each sandbox has it on its command line, and each program starts in it.
fn processes_of(room: &Path) -> Vec<String> {
    let room = room.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if entry.file_name().to_string_lossy().parse::<u32>().is_ok() && (line.contains(room) || cwd.starts_with(room))
        {
            found.push(format!("{}: {line}", entry.file_name().display()));
        }
    }
    found
}

/// Waits until no process of `room` is left.
fn wait_for_no_process(room: &Path) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let left = processes_of(room);
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
    let _turn = super::turn();
    let before = Machine::snapshot();
    let room = crate::checker::own_room("hostile");
    let folder = crate::checker::file("hostile");
    let compiled = ["fork-bomb.c", "zombies.c", "debugger.c"]
        .map(|it| (it, crate::checker::compile_c(it, &[&folder.join(it)], "-pthread")));
    let judge_once = |(name, id, expected): &(&'static str, &str, Diagnosis)| -> (&'static str, Outcome) {
        let program = compiled.iter().find(|(it, _)| it == name).map(|(_, program)| program.clone());
        let program = vec![program.unwrap_or_else(|| folder.join(name)).into()];
        let candidate = Candidate::new(program, room.clone(), true);
        let start = Instant::now();
        let outcome = must_fail(&candidate, crate::checker::exercise(id), *expected);
        let took = start.elapsed();
        (name, if took > IN_TIME { Err(format!("a verdict after {} s", took.as_secs())) } else { outcome })
    };
    // This machine is as busy as it can be, so a program may run out of time before it does any harm.
    let judge = |it: &_| match judge_once(it) {
        (_, Err(_)) => judge_once(it),
        judged => judged,
    };
    let mut results: Vec<_> = ALONE.iter().map(judge).collect();
    results.extend(some_at_a_time(&TOGETHER, judge));
    results.push(("nothing left", wait_for_no_process(&room).map(|()| crate::checker::Told::Right)));
    tally("hostile programs that came to nothing", &results);
    assert_eq!(before, Machine::snapshot());
}

#[test]
#[ignore = "slow: waits for time limits"]
fn sixty_four_checks_at_once_pass() {
    let _turn = super::turn();
    let exercise = crate::checker::exercise("proc");
    let room = crate::checker::own_room("many");
    let source = crate::checker::solution(exercise);
    let program = crate::checker::build("many", "allow", &[("solution".into(), source)]).join("solution");
    let candidate = Candidate::new(vec![program.into()], room.clone(), true);
    let start = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let checks: Vec<_> = (0..64).map(|_| scope.spawn(|| crate::checker::must_pass(&candidate, exercise))).collect();
        checks.into_iter().map(|check| ("one of them", check.join().unwrap())).collect()
    });
    tally(&format!("checks at once that pass, in {:.1} s", start.elapsed().as_secs_f32()), &results);
    wait_for_no_process(&room).unwrap();
}
