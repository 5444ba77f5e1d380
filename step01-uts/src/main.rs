//! Step 1: a hostname of its own.
//!
//! A process sees the machine through its namespaces, namespaces(7). We make a new UTS namespace, the one that holds
//! the hostname, and start a command in it: it may call itself what it likes, and the host keeps its name.
//! That takes root, or a user namespace, which `cargo xtask` makes around us. unshare(2), sethostname(2).
//!
//!     cargo xtask run step01 -- hostname

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt, parent_id};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpgrp, sethostname, tcgetpgrp};

const NAME: &str = env!("CARGO_BIN_NAME");

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match args.as_slice() {
        [mode, program, args @ ..] if mode == "run" => parent(program, args),
        [mode, program, args @ ..] if mode == "child" => child(program, args),
        _ => Ok(fail(2, &format!("usage: {NAME} run COMMAND [ARG...]"))),
    };
    let status = result.unwrap_or_else(|error| {
        let cure = match error.downcast_ref() {
            Some(Errno::EPERM) => "; this takes root or a user namespace: `cargo xtask run` gets one",
            _ => "",
        };
        fail(125, &format!("{error:#}{cure}"))
    });
    ExitCode::from(status as u8)
}

/// Host side: leaves the host's UTS namespace, then runs this same program as `child` and waits for it.
fn parent(program: &OsStr, args: &[OsString]) -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWUTS).context("unshare(CLONE_NEWUTS)")?;
    // The child has work to do before the command starts, and Rust has no safe fork: so it is this same program again.
    let mut child = Command::new("/proc/self/exe")
        .arg("child")
        .arg(program)
        .args(args)
        .spawn()
        .context("execve(\"/proc/self/exe\")")?;
    // Ctrl-C reaches all that is in the terminal's foreground, so us, too. What it means is for the command to say.
    if tcgetpgrp(io::stdin()) == Ok(getpgrp()) {
        SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block().context("rt_sigprocmask(SIG_BLOCK)")?;
    }
    let status = child.wait().context("wait4")?;
    Ok(shell_status(status))
}

/// Container side: names the container, then becomes the command. What the command starts in turn is not ours to end: that
/// takes a PID namespace, the next step.
fn child(program: &OsStr, args: &[OsString]) -> Result<i32> {
    // If `run` dies, so do we, even of a SIGKILL that it can't pass on. Only then see whether it still lives.
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")?;
    ensure!(parent_is_run()?, "`child` is for `run` to start; type `run`");
    sethostname("mini-docker").context("sethostname(\"mini-docker\")")?;

    let error = Command::new(program).args(args).exec();
    Ok(not_started(program, &error))
}

/// Is our parent this same program? Not if `child` was typed by hand; nor if `run` was killed and an init took us in.
fn parent_is_run() -> Result<bool> {
    let parent = fs::read_link(format!("/proc/{}/exe", parent_id())).context("readlink(\"/proc/PPID/exe\")")?;
    Ok(parent == env::current_exe().context("readlink(\"/proc/self/exe\")")?)
}

/// As a shell counts: the command's own status, or 128 + n if signal n killed it.
fn shell_status(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125)
}

/// As a shell counts: 127 if there is no such command (or no interpreter for it), 126 if it can't be executed.
fn not_started(program: &OsStr, error: &io::Error) -> i32 {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let (status, meaning) = match errno {
        Errno::ENOENT => (127, "; there is no such command in here"),
        Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE => (125, ""),
        _ => (126, ""),
    };
    fail(status, &format!("execve({program:?}): {errno}{meaning}"))
}

/// Says why on stderr, in one write, so that the line stays whole when the command writes there too.
fn fail(status: i32, why: &str) -> i32 {
    let _ = io::stderr().write_all(format!("{NAME}: {why}\n").as_bytes());
    status
}
