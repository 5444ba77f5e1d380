//! Step 2: a process table of its own.
//!
//! New since step 1: a PID namespace, in which we are process 1 and the host's processes are out of reach, and a mount
//! namespace, which begins as a copy of the host's mounts. /proc is still the host's, so `ps -e` still lists the host.
//! pid_namespaces(7), mount_namespaces(7), prctl(2), wait(2).
//!
//!     cargo xtask run step02 -- grep NSpid /proc/self/status

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, sethostname};

const NAME: &str = env!("CARGO_BIN_NAME");

fn main() -> ExitCode {
    let result = match env::args_os().skip(1).collect::<Vec<_>>().as_slice() {
        [mode, program, args @ ..] if mode == "run" => run(program, args),
        [mode, program, args @ ..] if mode == "child" => child(program, args),
        _ => Ok(fail(2, &format!("usage: {NAME} run COMMAND [ARG...]"))),
    };
    ExitCode::from(result.unwrap_or_else(|error| fail(125, &format!("{error:#}"))))
}

/// On the host: makes new namespaces, starts this program again as `child` in them, and waits for it.
fn run(program: &OsStr, args: &[OsString]) -> Result<u8> {
    // CLONE_NEWPID doesn't move us, because a process keeps its PIDs for life. It decides where our next child is born.
    unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)
        .context("unshare(CLONE_NEWUTS|CLONE_NEWPID|CLONE_NEWNS)")?;
    let mut child = Command::new("/proc/self/exe")
        .arg("child")
        .arg(program)
        .args(args)
        .spawn()
        .context("execve(\"/proc/self/exe\")")?;
    // Ctrl-C reaches every process in the terminal's foreground, so us, too. The command decides what it means.
    SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block().context("rt_sigprocmask(SIG_BLOCK)")?;
    Ok(shell_status(child.wait().context("wait4")?))
}

/// In the container, as process 1: names it, starts the command, and reaps until that ends. Whatever is left dies with us.
fn child(program: &OsStr, args: &[OsString]) -> Result<u8> {
    // Die with `run`, even on SIGKILL, which it can't forward. Check afterwards that it hadn't died before.
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")?;
    ensure!(parent_is_run()?, "`child` is started by `run`; use `run`");
    sethostname("mini-docker").context("sethostname(\"mini-docker\")")?;

    match Command::new(program).args(args).spawn() {
        Ok(command) => reap(command),
        Err(error) => Ok(not_started(program, &error)),
    }
}

/// True if our parent is this same program. getppid(2) returns 0, because it is outside our PID namespace; /proc knows it.
fn parent_is_run() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("open(\"/proc/self/status\")")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap_or_default();
    let exe = |pid| fs::read_link(format!("/proc/{pid}/exe")).with_context(|| format!("readlink(\"/proc/{pid}/exe\")"));
    Ok(exe(parent)? == exe("self")?)
}

/// Waits for the command, and for orphans, which become children of process 1: nothing else can reap them.
fn reap(mut command: Child) -> Result<u8> {
    let pid = Pid::from_raw(command.id() as i32);
    loop {
        // WNOWAIT only looks: std has to collect the command, because nix can't decode a death by real-time signal.
        let dead = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).ok().and_then(|dead| dead.pid());
        if let Some(status) = command.try_wait().context("wait4")? {
            return Ok(shell_status(status));
        }
        // After such a death `dead` is None. Then this takes any dead child, even the command if it ended just now.
        match waitpid(dead, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(dead, status)) if dead == pid => return Ok(status as u8),
            Ok(WaitStatus::Signaled(dead, signal, _)) if dead == pid => return Ok(128 + signal as u8),
            _ => {}
        }
    }
}

/// Converts to a shell's exit status: the command's own, or 128 + n if signal n killed it.
fn shell_status(status: ExitStatus) -> u8 {
    status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125) as u8
}

/// Reports why the command didn't start, with a shell's exit status: 127 if it doesn't exist, 126 if it can't be executed.
fn not_started(program: &OsStr, error: &io::Error) -> u8 {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let status = if errno == Errno::ENOENT { 127 } else { 126 };
    fail(status, &format!("execve({program:?}): {errno}"))
}

/// Prints the reason in one write, so that the line stays whole when another process writes too.
fn fail(status: u8, reason: &str) -> u8 {
    let _ = io::stderr().write_all(format!("{NAME}: {reason}\n").as_bytes());
    status
}
