//! What is run in a machine, and what each must answer.

use std::fs;

use anyhow::{Context, Result};
use exercises::Kind;
use lab::{steps, workspace};
use testkit::transcript::script;

use super::guest::{Guest, Output, Who};
use super::{Answer, CANNOT_RUN, Machine};

/// A command in the machine.
#[derive(Debug)]
pub struct Case {
    /// The heading under which it is shown.
    pub part: &'static str,
    pub who: Who,
    /// What it is called.
    pub command: String,
    /// A shell script.
    pub script: String,
    /// What it prints, with its lines joined by ` / `, and the exit status.
    pub expected: String,
}

impl Case {
    /// Runs it, and compares.
    ///
    /// # Errors
    /// If ssh can't be started.
    pub fn check(&self, guest: &Guest) -> Result<Answer> {
        let answer = guest.run(self.who, &self.script)?.joined();
        let is_right = answer == self.expected;
        let answer = match is_right {
            // The page has it in full already.
            true if self.part == super::TRANSCRIPTS => "as in the book".to_owned(),
            true => answer,
            false => format!("{answer}; expected: {}", self.expected),
        };
        Ok(Answer { part: self.part, who: self.who.name(), command: self.command.clone(), answer, is_right })
    }
}

/// Prints the machine's own state, in which no command may leave a trace: its name, mounts, cgroups of the checks and of the
/// engines, and processes.
pub const STATE: &str = "hostname; cut -d' ' -f5,6,9- /proc/1/mountinfo | sort; find /sys/fs/cgroup -name '*mini-docker*'; \
    ls -d /sys/fs/cgroup/libpod_parent /sys/fs/cgroup/default /sys/fs/cgroup/docker 2>/dev/null; \
    ps -e -o comm= | grep -c -e step0 -e mini-docker -e grader -e sleep -e conmon -e containerd -e dockerd -e catatonit";

/// The steps, each with the script, in which `RUN` is `./mini-docker run` and so on, and the answer.
const STEPS: [(&str, &str); 8] = [
    ("RUN step01 -- hostname", "mini-docker, status 0"),
    ("RUN step02 -- cat /proc/1/comm", "systemd, status 0"),
    (
        "RUN step02 -- ps -ef | grep -c -e systemd-logind -e sshd | grep -qv '^[01]$' && echo the machine",
        "the machine, status 0",
    ),
    (
        "RUN step03 -- ls /",
        "bin / dev / etc / home / lib / media / mnt / opt / proc / root / run / sbin / srv / sys / tmp / usr / var, status 0",
    ),
    (
        "RUN step04 -- ps -o pid,args",
        "PID COMMAND / 1 /proc/self/exe child ps -o pid,args / 2 ps -o pid,args, status 0",
    ),
    ("RUN step04 -- sh -c 'kill -TERM $$'", "status 143"),
    ("COMPARE 2>/dev/null | awk '/^processes/ { print $NF }'", "2, status 0"),
    ("COMPARE --real 2>/dev/null | awk '/^processes/ { print $NF }'", "2, status 0"),
];

/// Returns everything to run.
///
/// # Errors
/// If the exercises can't be read.
pub fn all(machine: &Machine, short: bool) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut case = |part, who, command: &str, script: String, expected: &str| {
        cases.push(Case { part, who, command: command.to_owned(), script, expected: expected.to_owned() });
    };
    for who in [Who::User, Who::Root] {
        let ready = "Every step can run here: `./mini-docker run step01`., status 0";
        let script = "./mini-docker doctor >/tmp/doctor; status=$?; grep FAIL /tmp/doctor; tail -n 1 /tmp/doctor; \
            rm /tmp/doctor; exit $status";
        case(super::STEPS, who, "./mini-docker doctor", script.to_owned(), ready);
        for (line, expected) in STEPS {
            let command = line.replace("RUN", "./mini-docker run").replace("COMPARE", "./mini-docker compare");
            case(super::STEPS, who, &command, command.clone(), expected);
        }
    }
    let line = "./mini-docker run --privilege sudo step04 -- hostname";
    case(super::STEPS, Who::User, line, line.to_owned(), "mini-docker, status 0");

    if !short {
        for (name, text) in transcripts()? {
            let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
            let typed = format!("bin/mini-docker host --die-with-parent -- sh <<'TYPED'\n{}TYPED", script(&lines));
            let expected = Output { text, status: Some(0) }.joined();
            for who in [Who::User, Who::Root] {
                case(super::TRANSCRIPTS, who, &name, typed.clone(), &expected);
            }
        }
        let podman = "podman --runtime $PWD/bin/oci --cgroup-manager=cgroupfs run --rm --network=none";
        for (options, command, expected) in RUNTIME {
            let line = format!("podman --runtime oci run {options} IMAGE {command}");
            let script = format!(
                "{IMAGE} && {podman} {options} localhost/machine {command}; status=$?; podman rmi -f localhost/machine >/dev/null; exit $status"
            );
            case(super::RUNTIME, Who::Root, &line, script, expected);
        }
    }
    for exercise in exercises::all(workspace::root())?.iter().filter(|it| !short || NEED_CGROUPS.contains(&&*it.id)) {
        for who in [Who::Delegated, Who::Root] {
            let check = format!("./mini-docker check {0} --no-record --cmd solutions/{0}", exercise.id);
            let command = format!("./mini-docker check {0} --cmd solutions/{0}", exercise.id);
            // Otherwise root's would be graded in a user namespace as well.
            let check =
                if who == Who::Root && exercise.kind == Kind::Container { check + " --privilege root" } else { check };
            let cannot_run = who == Who::Delegated && machine.need_root.contains(&&*exercise.id);
            let status = if cannot_run { CANNOT_RUN } else { 0 };
            // Of a report, the verdict; and of one that isn't the right one, what was wrong.
            let script = format!(
                "{check} >/tmp/report-$$ 2>&1; status=$?; [ $status = {status} ] || tail -n 12 /tmp/report-$$; rm /tmp/report-$$; exit $status"
            );
            case(super::SOLUTIONS, who, &command, script, &format!("status {status}"));
        }
    }
    Ok(cases)
}

/// Returns the name and the text of every snapshot of the steps whose commands need no compiler.
fn transcripts() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for step in steps::all()? {
        let directory = workspace::root().join(&step.name).join("tests/snapshots");
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace("__", ": ");
            let text = fs::read_to_string(&path)?;
            // insta's header ends with a line of its own.
            let (_, text) = text.trim_start_matches("---\n").split_once("\n---\n").context("no header")?;
            if text.starts_with("$ ") && !text.contains("rustc") && !name.starts_with("oci") {
                found.push((name.replace("escape", &step.name), text.to_owned()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes an image of the rootfs.
pub const IMAGE: &str = "tar -C rootfs -c . | podman import -q - localhost/machine >/dev/null";

/// The options and the command of a container that our OCI runtime starts for podman, and the answer.
const RUNTIME: [(&str, &str, &str); 4] = [
    ("--memory 32m", "cat /sys/fs/cgroup/memory.max", "33554432, status 0"),
    ("--memory 32m", "tail /dev/zero", "status 137"),
    ("--pids-limit 8", "cat /sys/fs/cgroup/pids.max", "8, status 0"),
    (
        "--pids-limit 8",
        "sh -c 'for it in 1 2 3 4 5 6 7 8; do sleep 2 & done'",
        "sh: can't fork: Resource temporarily unavailable, status 2",
    ),
];

/// The exercises that can't be graded without cgroups.
const NEED_CGROUPS: [&str; 2] = ["limits", "memory"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::MACHINES;

    #[test]
    fn the_complete_check_has_every_exercise_for_a_user_and_for_root() {
        let count = exercises::all(workspace::root()).unwrap().len();
        let of_exercises =
            |short| all(&MACHINES[0], short).unwrap().iter().filter(|it| it.part == crate::machines::SOLUTIONS).count();
        assert_eq!(of_exercises(false), 2 * count);
        assert_eq!(of_exercises(true), 2 * NEED_CGROUPS.len());
    }
}
