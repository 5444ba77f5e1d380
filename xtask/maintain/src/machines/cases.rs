//! What is run in a machine, and what each must answer.

use anyhow::Result;
use exercises::Kind;
use lab::workspace;

use super::guest::Who;

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

/// What the short check leaves out.
pub const LEFT_OUT: &str = "the other exercises, the shell at a terminal, limits of the OCI runtime, and restricted machines: \
    `cargo xtask machines --check`";

/// Prints the machine's own state, in which no command may leave a trace: its name, mounts, cgroups of the checks, and processes.
pub const STATE: &str = "hostname; cut -d' ' -f5,6,9- /proc/1/mountinfo | sort; find /sys/fs/cgroup -name '*mini-docker*'; \
    ps -e -o comm= | grep -c -e step0 -e mini-docker -e grader -e sleep";

/// The steps, each with the script, in which `RUN` is `./mini-docker run`, and the answer.
const STEPS: [(&str, &str); 6] = [
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
        "PID   COMMAND / 1 /proc/self/exe child ps -o pid,args / 2 ps -o pid,args, status 0",
    ),
    ("RUN step04 -- sh -c 'kill -TERM $$'", "status 143"),
];

/// Returns everything to run.
///
/// # Errors
/// If the exercises can't be read.
pub fn all(short: bool) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut case = |part, who, command: &str, script: String, expected: &str| {
        cases.push(Case { part, who, command: command.to_owned(), script, expected: expected.to_owned() });
    };
    for who in [Who::User, Who::Root] {
        let doctor = "./mini-docker doctor";
        let ready = "Every step can run here: `./mini-docker run step01`., status 0";
        case(
            "The steps",
            who,
            doctor,
            format!(
                "{doctor} >/tmp/doctor; status=$?; grep FAIL /tmp/doctor; tail -n 1 /tmp/doctor; rm /tmp/doctor; exit $status"
            ),
            ready,
        );
        for (line, expected) in STEPS {
            let command = line.replace("RUN", "./mini-docker run");
            case("The steps", who, &command, command.clone(), expected);
        }
    }
    let line = "./mini-docker run --privilege sudo step04 -- hostname";
    case("The steps", Who::User, line, line.to_owned(), "mini-docker, status 0");

    if !short {
        let podman = "podman --runtime $PWD/bin/oci --cgroup-manager=cgroupfs run --rm --network=none";
        for (options, command, expected) in RUNTIME {
            let line = format!("podman --runtime oci run {options} IMAGE {command}");
            let script = format!(
                "{IMAGE} && {podman} {options} localhost/machine {command}; status=$?; podman rmi -f localhost/machine >/dev/null; exit $status"
            );
            case("Limits of the OCI runtime", Who::Root, &line, script, expected);
        }
    }
    for exercise in exercises::all(workspace::root())?.iter().filter(|it| !short || NEED_CGROUPS.contains(&&*it.id)) {
        for who in [Who::Delegated, Who::Root] {
            let check = format!("./mini-docker check {0} --no-record --cmd solutions/{0}", exercise.id);
            // Otherwise root's would be graded in a user namespace as well.
            let check =
                if who == Who::Root && exercise.kind == Kind::Container { check + " --privilege root" } else { check };
            // Of a report, the verdict; and of one that isn't the right one, what was wrong.
            let script = format!(
                "{check} >/tmp/report-$$ 2>&1; status=$?; [ $status = 0 ] || tail -n 12 /tmp/report-$$; rm /tmp/report-$$; exit $status"
            );
            case("The solutions", who, &check, script, "status 0");
        }
    }
    Ok(cases)
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

    #[test]
    fn the_complete_check_has_every_exercise_for_a_user_and_for_root() {
        let count = exercises::all(workspace::root()).unwrap().len();
        let of_exercises = |short| all(short).unwrap().iter().filter(|it| it.part == "The solutions").count();
        assert_eq!(of_exercises(false), 2 * count);
        assert_eq!(of_exercises(true), 2 * NEED_CGROUPS.len());
    }
}
