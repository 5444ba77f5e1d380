//! Helpers for processes: finding programs, exit statuses, dying with the parent, and the terminal's foreground.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{env, fs, io};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};
use signal_hook::consts::FORBIDDEN;
use signal_hook::flag;

use crate::procfs::Status;

/// Returns the path of the program `name` on the PATH, or in the sbin directories, which Debian leaves out of an ordinary
/// user's PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Converts to the exit status that a shell would report: the program's own, or 128 + n after signal n.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125) as u8)
}

/// Makes this process die with the thread that started it.
pub fn die_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")
}

/// Lets the programs that this process starts have the default action of each signal, and none blocked, whatever this process
/// was started with: nohup(1), for example, ignores one. An ignored signal stays ignored over execve(2), but one with a handler
/// becomes default, so each gets a handler that does nothing. The exceptions are SIGILL, SIGFPE and SIGSEGV, for which no safe
/// handler is possible. This process must have one thread.
///
/// # Errors
/// If /proc/self/status can't be read.
pub fn reset_signals() -> Result<()> {
    SigSet::empty().thread_set_mask().context("rt_sigprocmask(SIG_SETMASK, [])")?;
    let status = Status::new(&fs::read("/proc/self/status").context("/proc/self/status")?);
    let ignored = status.set("SigIgn").context("/proc/self/status has no SigIgn")?;
    let is_ignored = |signal: &i32| ignored >> (signal - 1) & 1 == 1;
    for signal in (1..=64).filter(is_ignored).filter(|signal| !FORBIDDEN.contains(signal)) {
        // glibc refuses the two that it keeps for itself.
        let _ = flag::register(signal, Arc::<AtomicBool>::default());
    }
    Ok(())
}

/// Waits, as a shell does, until this process is in the terminal's foreground. In a new PID namespace a shell can't do that:
/// there, its own process group and that of the foreground are both 0, and it would take the terminal away from another.
pub fn wait_for_foreground() {
    while tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
        // Stops us, until `fg`.
        if killpg(getpgrp(), Signal::SIGTTIN).is_err() {
            return;
        }
    }
}

/// Takes the terminal back if an interactive shell that ended left it to its own, now dead, process group. A terminal that
/// belongs to a dead group fails every read with EIO.
pub fn take_terminal_back() {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| killpg(group, None) == Err(Errno::ESRCH)) {
        // We ask from the background, which stops the asker (SIGTTOU) unless it blocks that.
        let _ = SigSet::from(Signal::SIGTTOU).thread_block();
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
}
