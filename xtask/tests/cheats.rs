//! Programs that try to pass without doing it. What they print is not believed, and what they show is looked at behind.
#![cfg(target_os = "linux")]

mod checker;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use checker::{must_fail, some_at_a_time, tally};
use xtask::check::Candidate;
use xtask::check::diagnosis::Diagnosis::{self, *};

/// The program, in `cheats/`, the exercise that it wants to pass, and what it is told.
const CHEATS: [(&str, &str, Diagnosis); 11] = [
    ("prints.sh", "run", NeverRan),
    ("prints.sh", "proc", NeverRan),
    ("mimic.c", "run", WrongCommand),
    ("mimic.c", "proc", WrongCommand),
    ("another-sh.sh", "run", WrongCommand),
    ("claims-to-be-1.c", "pid", NoPidNamespace),
    ("decoy-inside.sh", "pid", WrongCommand),
    ("decoy-outside.sh", "pid", WrongCommand),
    ("fake-hostname.sh", "uts", NoUtsNamespace),
    ("fake-namespaces.sh", "uts", IsolatedNothing),
    ("fake-proc.sh", "uts", IsolatedNothing),
];

#[test]
fn no_cheat_passes() {
    let room = checker::own_room("cheats");
    // A rootfs in which hostname(1) says what a person would look for.
    let hostname = room.join("rootfs/bin/hostname");
    let _ = fs::remove_file(&hostname);
    fs::write(&hostname, "#!/bin/sh\necho mini-docker\n").unwrap();
    fs::set_permissions(&hostname, fs::Permissions::from_mode(0o755)).unwrap();
    let compiled =
        ["mimic.c", "claims-to-be-1.c"].map(|it| (it, checker::compile_c(&checker::file("cheats").join(it))));
    let results = some_at_a_time(&CHEATS, |(name, id, expected)| {
        let program = compiled.iter().find(|(it, _)| it == name).map(|(_, program)| program.clone());
        let program = program.unwrap_or_else(|| checker::file("cheats").join(name));
        let mut candidate: Candidate = checker::candidate(program, &room);
        if *name == "another-sh.sh" {
            candidate.program.push(compiled[0].1.clone().into());
        }
        (*name, must_fail(&candidate, checker::exercise(id), *expected))
    });
    tally("cheats that are told so", &results);
}
