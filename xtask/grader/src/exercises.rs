//! The exercises of the workshop: their order, their texts and their checks. What a learner reads is in `xtask/exercises/`,
//! a file each; the book shows the same.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::check::behaviour::{self, escape, files, limits, network, rights};
use crate::check::criterion::Check;
use crate::check::look;
use crate::{steps, workspace};

pub mod text;

/// What a learner does in one sitting.
#[derive(Debug)]
pub struct Exercise {
    /// Its place in the order, from 0.
    pub number: u32,
    /// What it is called for good, also when the order changes: `uts`.
    pub id: &'static str,
    /// What the program is to be.
    pub kind: Kind,
    /// The exercises whose checks must hold as well, besides 0: those before it in the steps, or the steps.
    pub after: &'static [&'static str],
    /// The solved program, from the top of the repository.
    pub solution: &'static str,
    /// The program to start from, if it is not the first one or the solution of the one before.
    pub starter: Starter,
    /// What must hold.
    pub checks: &'static [Check],
}

/// The contract of an exercise's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `PROGRAM run COMMAND [ARG...]`: it makes a container.
    Program,
    /// `PROGRAM COMMAND [ARG...]`: it is put into one, as /tmp/escape. It is linked statically, and nothing else is asked of it.
    Attack,
}

/// What an exercise starts from.
#[derive(Debug)]
pub enum Starter {
    /// A program in the repository.
    File(&'static str),
    /// The solution, less what is to be found: pairs of what stands there, once, and what stands there instead.
    Without(&'static [(&'static str, &'static str)]),
}

/// The first program: it runs a command, and isolates nothing.
const FIRST: &str = "xtask/exercises/first.rs";
/// The last step.
const LAST: &str = "step04-proc/src/main.rs";
/// The exercises that are the steps.
pub(crate) const STEPS: &[&str] = &["uts", "pid", "chroot", "proc"];

/// All of them, in their order.
pub const ALL: &[Exercise] = &[
    Exercise {
        number: 0,
        id: "run",
        kind: Kind::Program,
        after: &[],
        solution: FIRST,
        starter: Starter::File(FIRST),
        checks: &[
            Check::look("`run COMMAND` runs the command, with its words as they were given", look::the_command_runs),
            Check::look(
                "what is typed reaches the command, and what it writes comes at once",
                look::input_and_output_pass_through,
            ),
            Check::look("its stdout arrives on stdout, and its stderr on stderr", look::stdout_and_stderr_are_two),
            Check::alone("stdout and stderr keep their order", behaviour::output_keeps_its_order),
            Check::look("`run` ends when the command has", look::run_waits),
            Check::look("its exit status is the command's own", look::the_status_is_passed_on),
        ],
    },
    Exercise {
        number: 1,
        id: "uts",
        kind: Kind::Program,
        after: &[],
        solution: "step01-uts/src/main.rs",
        starter: Starter::File(FIRST),
        checks: &[
            Check::look("the command is in a UTS namespace of its own", look::it_has_a_uts_namespace),
            Check::look("its hostname is mini-docker", look::it_is_called_mini_docker),
            Check::look("the host keeps its name", look::the_host_keeps_its_name),
        ],
    },
    Exercise {
        number: 2,
        id: "pid",
        kind: Kind::Program,
        after: &["uts"],
        solution: "step02-pid/src/main.rs",
        starter: Starter::File("step01-uts/src/main.rs"),
        checks: &[
            Check::look("the command is in a PID namespace of its own", look::it_has_a_pid_namespace),
            Check::look("it is in a mount namespace of its own", look::it_has_a_mount_namespace),
            Check::look("nothing is left running", look::nothing_is_left_running),
        ],
    },
    Exercise {
        number: 3,
        id: "chroot",
        kind: Kind::Program,
        after: &["uts", "pid"],
        solution: "step03-chroot/src/main.rs",
        starter: Starter::File("step02-pid/src/main.rs"),
        checks: &[
            Check::look("its `/` is ./rootfs", look::its_root_is_the_rootfs),
            Check::look("its working directory is inside", look::its_working_directory_is_inside),
            Check::look("what is mounted in there does not show on the host", look::its_mounts_stay_inside),
        ],
    },
    Exercise {
        number: 4,
        id: "proc",
        kind: Kind::Program,
        after: &["uts", "pid", "chroot"],
        solution: LAST,
        starter: Starter::File("step03-chroot/src/main.rs"),
        checks: &[
            Check::look("its /proc shows its own PID namespace", look::its_proc_is_its_own),
            Check::look("its /proc is read-only", look::its_proc_is_read_only),
            Check::look("no mount is left on the host", look::no_mount_is_left),
        ],
    },
    Exercise {
        number: 5,
        id: "status",
        kind: Kind::Program,
        after: STEPS,
        solution: LAST,
        starter: Starter::Without(&[
            ("status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125)", "status.code().unwrap_or(1)"),
            ("use std::os::unix::process::ExitStatusExt;\n", ""),
        ]),
        checks: &[
            Check::alone("128 + n, if signal n killed the command", behaviour::signals_are_reported),
            Check::alone("127 if there is no such command, 126 if it can't be executed", behaviour::not_found_is_127),
        ],
    },
    Exercise {
        number: 6,
        id: "reap",
        kind: Kind::Program,
        after: STEPS,
        solution: LAST,
        starter: Starter::Without(&[
            (
                r#"    let status = loop {
        // WNOWAIT only looks, so that the command is left for std to collect.
        let dead = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).ok().and_then(|dead| dead.pid());
        if let Some(status) = command.try_wait().context("wait4")? {
            break status;
        }
        // Orphans become children of process 1, and nobody else can reap them. (None, any child: nix knows no pid for one
        // that a real-time signal killed. WNOHANG: nor for none at all, if waitid failed.)
        let _ = waitpid(dead, Some(WaitPidFlag::WNOHANG));
    };
"#,
                r#"    let status = command.wait().context("wait4")?;
"#,
            ),
            ("use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};\n", ""),
            (", starts the command and reaps until it ends.", ", starts the command and waits until it ends."),
        ]),
        checks: &[
            Check::alone("an orphan that ends is reaped by process 1", behaviour::orphans_are_reaped),
            Check::alone(
                "`run` ends with the command, whatever orphans live on",
                behaviour::living_orphans_are_not_waited_for,
            ),
        ],
    },
    Exercise {
        number: 7,
        id: "die",
        kind: Kind::Program,
        after: STEPS,
        solution: LAST,
        starter: Starter::Without(&[
            (
                r#"    // If `run` dies, so do we, even of a SIGKILL that it can't pass on. Only then see whether it still lives.
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")?;
    ensure!(parent_is_run()?, "`child` is for `run` to start; type `run`");
"#,
                "",
            ),
            (
                r#"/// Is our parent this same program? Not if `child` was typed by hand; nor if `run` was killed and an init took us in.
/// getppid(2) answers 0 for a parent outside our PID namespace, but /proc is the host's and numbers us as the host does.
fn parent_is_run() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("open(\"/proc/self/status\")")?;
    let parent_id = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap_or_default();
    let parent = fs::read_link(format!("/proc/{parent_id}/exe")).context("readlink(\"/proc/PPID/exe\")")?;
    Ok(parent == env::current_exe().context("readlink(\"/proc/self/exe\")")?)
}

"#,
                "",
            ),
            ("use nix::sys::prctl::set_pdeathsig;\n", ""),
            ("use anyhow::{Context, Result, ensure};", "use anyhow::{Context, Result};"),
            ("use std::fs;\n", ""),
        ]),
        checks: &[Check::alone("whoever kills `run` has ended the container", behaviour::a_killed_run_leaves_nothing)],
    },
    Exercise {
        number: 8,
        id: "clean",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/clean.rs",
        starter: Starter::Without(&[
            (
                r#"        // Here, and not for the command alone: what process 1 was started with can be read in /proc/1/environ.
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(env::var_os("TERM").map(|term| ("TERM", term)))
"#,
                "",
            ),
            ("    close_inherited().context(\"open(\\\"/proc/self/fd\\\")\")?;\n", ""),
            (
                r#"/// Closes all that was open when we were started, but stdin, stdout and stderr. What Rust opens is close-on-exec; what a
/// careless caller of ours opened may not be, and through a folder of the host's anyone in a chroot walks out of it.
fn close_inherited() -> io::Result<()> {
    let fds: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in fds {
        // One of them was the folder that we read, and is closed already.
        let _ = close(fd);
    }
    Ok(())
}

"#,
                "",
            ),
            ("use std::os::fd::RawFd;\n", ""),
            ("chroot, close, getpgrp", "chroot, getpgrp"),
        ]),
        checks: &[
            Check::alone(
                "nothing of the host's environment is in the command's",
                behaviour::the_environment_is_its_own,
            ),
            Check::alone(
                "nor in that of process 1, which the command can read",
                behaviour::process_1_has_none_of_it_either,
            ),
            Check::alone("nothing that is open on the host is open inside", files::its_descriptors_are_its_own),
        ],
    },
    Exercise {
        number: 9,
        id: "dev",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/dev.rs",
        starter: Starter::File(LAST),
        checks: &[
            Check::alone("/dev/null is the device that swallows all", files::dev_null_swallows),
            Check::alone("nothing of it is left in ./rootfs/dev", files::nothing_stays_in_dev),
        ],
    },
    Exercise {
        number: 10,
        id: "name",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/name.rs",
        starter: Starter::File(LAST),
        checks: &[
            Check::alone("`run --hostname NAME COMMAND` calls it NAME", behaviour::the_hostname_can_be_chosen),
            Check::alone("the same words behind COMMAND are the command's own", behaviour::flags_end_at_the_command),
        ],
    },
    Exercise {
        number: 11,
        id: "volume",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/volume.rs",
        starter: Starter::File(LAST),
        checks: &[
            Check::alone("`run -v HOST:CONTAINER COMMAND` shows a folder of the host's", files::a_volume_is_there),
            Check::alone("with `:ro` it is read-only, and the host's is not", files::a_volume_can_be_read_only),
        ],
    },
    Exercise {
        number: 12,
        id: "escape",
        kind: Kind::Attack,
        after: &[],
        solution: "step03-chroot/examples/escape.rs",
        starter: Starter::File("xtask/exercises/escape.rs"),
        checks: &[Check::alone("what the attack starts has the host's `/`", escape::the_attack_gets_out)],
    },
    Exercise {
        number: 13,
        id: "pivot",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/pivot.rs",
        starter: Starter::File(LAST),
        checks: &[
            Check::look("nothing is above its `/`", look::nothing_is_above_its_root),
            Check::look("the host's root is mounted nowhere in there", look::the_old_root_is_gone),
            Check::look("nothing that is open in there leads out of it", look::nothing_outside_is_open),
        ],
    },
    Exercise {
        number: 14,
        id: "rootless",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/rootless.rs",
        starter: Starter::File(LAST),
        checks: &[Check::alone("without a right on the host, all of that holds as well", rights::it_needs_no_rights)],
    },
    Exercise {
        number: 15,
        id: "limits",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/limits.rs",
        starter: Starter::File(LAST),
        checks: &[Check::alone(
            "`run --pids N COMMAND` limits its processes, by a cgroup that is gone afterwards",
            limits::its_processes_are_limited,
        )],
    },
    Exercise {
        number: 16,
        id: "overlay",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/overlay.rs",
        starter: Starter::File(LAST),
        checks: &[Check::alone("what the command writes is gone afterwards", files::what_it_writes_is_gone)],
    },
    Exercise {
        number: 17,
        id: "veth",
        kind: Kind::Program,
        after: STEPS,
        solution: "step04-proc/examples/veth.rs",
        starter: Starter::File(LAST),
        checks: &[
            Check::look("the command is in a network namespace of its own", network::it_has_a_network_namespace),
            Check::alone("127.0.0.1 answers in there", network::it_has_a_loopback),
            Check::alone("10.0.0.2, which it is, reaches 10.0.0.1, which is the host", network::it_reaches_the_host),
        ],
    },
];

impl Exercise {
    /// The name of the learner's program that is graded.
    pub fn program(&self) -> &'static str {
        match self.kind {
            Kind::Program => "mine",
            Kind::Attack => "escape",
        }
    }

    /// The exercises whose checks are asked for this one, itself last.
    pub fn with_earlier(&self) -> Vec<&'static Exercise> {
        let is_asked = |it: &&Exercise| it.number == 0 && self.kind == Kind::Program || self.after.contains(&it.id);
        let mut all: Vec<_> = ALL.iter().filter(is_asked).collect();
        if self.number != 0 {
            all.extend(ALL.iter().filter(|it| it.id == self.id));
        }
        all
    }
}

/// The exercise that `wanted` names: its number, its id, or the name of a step.
///
/// # Errors
/// When there is none of that name; the message lists them.
pub fn find(wanted: &str) -> Result<&'static Exercise> {
    let step = steps::find(wanted).ok().map(|step| step.number);
    let number = wanted.parse().ok();
    let found = ALL.iter().find(|it| Some(it.number) == number || it.id == wanted);
    if let Some(exercise) = found.or_else(|| ALL.iter().find(|it| Some(it.number) == step)) {
        return Ok(exercise);
    }
    let names: Vec<String> = ALL.iter().map(|it| format!("{} {}", it.number, it.id)).collect();
    bail!("there is no exercise '{wanted}'; there are {}", names.join(", "))
}

/// The source of the program that an exercise starts from.
///
/// # Errors
/// When a file is missing, or what is to be left out does not stand there exactly once.
pub fn starter(exercise: &Exercise) -> Result<String> {
    match exercise.starter {
        // Its header is for all who begin.
        Starter::File(file) if file == FIRST || exercise.kind == Kind::Attack => read(file),
        Starter::File(file) => with_own_header(exercise, &read(file)?),
        Starter::Without(edits) => {
            let source = edit(&read(exercise.solution)?, edits);
            with_own_header(exercise, &source.with_context(|| format!("the starter of {}", exercise.id))?)
        }
    }
}

/// The header of a step says what the step has new, and that of a solution what is to be found.
fn with_own_header(exercise: &Exercise, source: &str) -> Result<String> {
    let Exercise { number, id, after, .. } = exercise;
    let title = text::of(id)?.title;
    let so_far = match after.len() {
        1 => "what exercise 1 asks".to_owned(),
        last => format!("what exercises 1 to {last} ask"),
    };
    let body: String = source.split_inclusive('\n').skip_while(|line| line.starts_with("//!")).collect();
    Ok(format!(
        "//! Exercise {number}: {title}. From here on the program is yours.\n\
         //!\n\
         //! So far it does {so_far}. `cargo xtask hint {id}` says what is to come.\n\
         //!\n\
         //!     cargo xtask check {id}\n{body}"
    ))
}

/// The source of the solved program.
///
/// # Errors
/// When the file is missing.
pub fn solution(exercise: &Exercise) -> Result<String> {
    read(exercise.solution)
}

fn read(file: &str) -> Result<String> {
    let path: PathBuf = workspace::root().join(file);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Makes small edits of a source. What stands there must stand there once, or the edit no longer means what it meant.
///
/// # Errors
/// When it stands there not at all, or more than once.
pub fn edit(source: &str, edits: &[(&str, &str)]) -> Result<String> {
    let mut source = source.to_owned();
    for (old, new) in edits {
        let count = source.matches(old).count();
        ensure!(count == 1, "an edit no longer applies: this stands there {count} times, not once: {old:?}");
        source = source.replacen(old, new, 1);
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_starter_has_a_header_of_its_own() {
        for exercise in &ALL[1..] {
            let starter = starter(exercise).unwrap();
            let header: Vec<_> = starter.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(header.last().unwrap().contains("cargo xtask check"), "{}: {header:?}", exercise.id);
            assert!(!header.iter().any(|line| line.contains("New since")), "{}: {header:?}", exercise.id);
            let rest = starter.lines().skip(header.len());
            assert_eq!(rest.filter(|line| line.starts_with("//!")).count(), 0, "{}", exercise.id);
        }
    }
}
