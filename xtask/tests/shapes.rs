//! A right program may have any shape: other system calls, another language, or somebody else's tool behind a small adapter.
//! Each passes the exercises of the steps, and those beyond that it can: no tool answers every question as ours do.
#![cfg(target_os = "linux")]

mod checker;

use std::path::{Path, PathBuf};

use checker::{Outcome, must_pass, tally};

/// Grades a program by each of some exercises, which ask for the steps' as well.
fn passes(name: &'static str, program: &Path, ids: &[&'static str]) -> Vec<(&'static str, Outcome)> {
    let room = checker::own_room(&format!("shape-{name}"));
    let grade = |id: &&'static str| must_pass(&checker::candidate(program, &room), checker::exercise(id));
    ids.iter().map(|id| (*id, grade(id))).collect()
}

fn all_pass(name: &'static str, program: &Path, ids: &[&'static str]) {
    tally(&format!("exercises that {name} passes"), &passes(name, program, ids));
}

fn source(name: &str) -> PathBuf {
    checker::file("shapes").join(name)
}

#[test]
fn in_c_with_fork() {
    all_pass("fork.c", &checker::compile_c(&source("fork.c")), &["proc", "status", "reap", "die", "clean"]);
}

#[test]
fn in_c_with_clone() {
    all_pass("clone.c", &checker::compile_c(&source("clone.c")), &["proc", "status", "die"]);
}

#[test]
fn in_sh_with_unshare() {
    // Of a child that SIGKILL ended it makes status 1, and no SIGTERM ends it: util-linux 2.38.
    all_pass("unshare.sh", &source("unshare.sh"), &["proc"]);
}

/// `cargo xtask test` leaves these out, for what they need is no part of a usual machine; `cargo xtask ci` runs them.
mod with_more_than_a_usual_machine_has {
    use super::*;
    use std::process::Command;

    fn needs(program: &str, package: &str) {
        let version = Command::new(program).arg(if program == "go" { "version" } else { "--version" }).output();
        assert!(version.is_ok_and(|it| it.status.success()), "there is no {program}: `sudo apt install {package}`");
    }

    #[test]
    #[ignore = "needs go: cargo test -p xtask --test shapes -- --ignored"]
    fn in_go() {
        needs("go", "golang-go");
        let program = xtask::workspace::target().join("test-programs/container-in-go");
        let mut go = Command::new("go");
        let built = go.args(["build", "-o"]).arg(&program).arg(source("container.go")).env("CGO_ENABLED", "0").status();
        assert!(built.unwrap().success(), "container.go does not compile");
        all_pass("container.go", &program, &["proc", "status", "die"]);
    }

    #[test]
    #[ignore = "needs python3: cargo test -p xtask --test shapes -- --ignored"]
    fn in_python() {
        needs("python3", "python3");
        all_pass("container.py", &source("container.py"), &["proc", "status", "reap", "die"]);
    }

    #[test]
    #[ignore = "needs bwrap: cargo test -p xtask --test shapes -- --ignored"]
    fn in_sh_with_bwrap() {
        needs("bwrap", "bubblewrap");
        // It closes no descriptor that it was given, and ends with status 1 where there is no such command.
        all_pass("bwrap.sh", &source("bwrap.sh"), &["proc", "reap", "die", "pivot"]);
    }
}
