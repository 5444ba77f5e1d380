//! A right program may have any shape: other system calls, another language, or another tool behind a small adapter. Each
//! passes the exercises of the steps, and as many of the later ones as its tool allows.

use std::path::{Path, PathBuf};

use crate::checker::{Outcome, must_pass, tally};

/// Grades a program by each of these exercises, which include the ones before them.
fn passes(name: &'static str, program: &Path, ids: &[&'static str]) -> Vec<(&'static str, Outcome)> {
    let room = crate::checker::own_room(&format!("shape-{name}"));
    let grade = |id: &&'static str| must_pass(&crate::checker::candidate(program, &room), crate::checker::exercise(id));
    ids.iter().map(|id| (*id, grade(id))).collect()
}

fn all_pass(name: &'static str, program: &Path, ids: &[&'static str]) {
    tally(&format!("exercises that {name} passes"), &passes(name, program, ids));
}

fn source(name: &str) -> PathBuf {
    crate::checker::file("shapes").join(name)
}

#[test]
#[ignore = "slow: grades programs in C and shell"]
fn a_c_program_with_fork_passes() {
    all_pass("fork.c", &crate::checker::compile_c(&source("fork.c")), &["proc", "status", "reap", "die", "clean"]);
}

#[test]
#[ignore = "slow: grades programs in C and shell"]
fn a_c_program_with_clone_passes() {
    all_pass("clone.c", &crate::checker::compile_c(&source("clone.c")), &["proc", "status", "die"]);
}

#[test]
#[ignore = "slow: grades programs in C and shell"]
fn a_shell_script_with_unshare_passes() {
    // Not status and die: with util-linux 2.38, a child killed by SIGKILL becomes status 1, and SIGTERM doesn't end it.
    all_pass("unshare.sh", &source("unshare.sh"), &["proc"]);
}

mod in_other_languages {
    use super::*;
    use std::process::Command;

    fn needs(program: &str, package: &str) {
        let version = Command::new(program).arg(if program == "go" { "version" } else { "--version" }).output();
        assert!(version.is_ok_and(|it| it.status.success()), "there is no {program}: `sudo apt install {package}`");
    }

    #[test]
    #[ignore = "needs go"]
    fn a_go_program_passes() {
        needs("go", "golang-go");
        let program = lab::cargo::target_directory().unwrap().join("test-programs/container-in-go");
        let mut go = Command::new("go");
        let built = go.args(["build", "-o"]).arg(&program).arg(source("container.go")).env("CGO_ENABLED", "0").status();
        assert!(built.unwrap().success(), "container.go does not compile");
        all_pass("container.go", &program, &["proc", "status", "die"]);
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_python_program_passes() {
        needs("python3", "python3");
        all_pass("container.py", &source("container.py"), &["proc", "status", "reap", "die"]);
    }

    #[test]
    #[ignore = "needs bwrap"]
    fn a_shell_script_with_bwrap_passes() {
        needs("bwrap", "bubblewrap");
        // Not clean and status: bwrap closes no descriptor that it inherits, and a missing command is status 1.
        all_pass("bwrap.sh", &source("bwrap.sh"), &["proc", "reap", "die", "pivot"]);
    }
}
