//! Exercise `status`: the statuses that a shell reports.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use lab::procfs::contains;

use super::*;

/// Runs a command that sleeps, and waits for it.
fn start_sleep(sandbox: &Sandbox) -> Checked<(Run<'_>, Process)> {
    let time = sandbox.draw.long_time();
    let words = ["sleep", &time];
    let mut run = sandbox.start(&Invocation::default(), &words)?;
    let command = wait_for_command(sandbox, &mut run, &words)?;
    Ok((run, command))
}

/// 128 + n for signal n.
pub fn signals_are_reported(sandbox: &Sandbox) -> Checked {
    let [told, fault] = sandbox.draw.fatal_signals();
    let mut signals = [Signal::SIGTERM, Signal::SIGKILL, told, fault];
    sandbox.draw.shuffle(&mut signals);
    for signal in signals {
        let (mut run, command) = start_sleep(sandbox)?;
        if command.inner_pid() == 1 && signal != Signal::SIGKILL {
            // Process 1 receives no signal that it has no handler for.
            sandbox.signal(command.pid, Signal::SIGKILL)?;
            run.wait()?;
            continue;
        }
        sandbox.signal(command.pid, signal)?;
        require_signal(run.wait()?, signal)?;
    }
    Ok(())
}

/// Requires 128 + n after signal n killed the command. `run` may also kill itself by the same signal, because a shell reports the
/// same status for it.
pub fn require_signal(status: ExitStatus, signal: Signal) -> Checked {
    let expected = 128 + signal as i32;
    let is_right = status.code() == Some(expected) || status.signal() == Some(signal as i32);
    let seen = format!("{signal} killed the command, and `run` ended with {}", describe(status));
    require!(is_right, SignalLost, format!("status {expected}"), "{seen}");
    Ok(())
}

/// A stopped command has not ended.
pub fn a_stopped_command_has_not_ended(sandbox: &Sandbox) -> Checked {
    let (mut run, command) = start_sleep(sandbox)?;
    sandbox.signal(command.pid, Signal::SIGSTOP)?;
    let ended = run.wait_until(A_MOMENT, |run| Ok(run.status().is_some()))?;
    let seen = "SIGSTOP stopped the command, but `run` ended";
    require!(!ended, StoppedIsNotEnded, "`run` waiting until the command ends", "{seen}");
    sandbox.signal(command.pid, Signal::SIGCONT)?;
    sandbox.signal(command.pid, Signal::SIGKILL)?;
    run.wait()?;
    Ok(())
}

/// Signals 32 and 33, which glibc keeps for itself, and posix_spawn(3) leaves ignored.
const OF_GLIBC: u64 = 0b11 << 31;

/// The command starts with the same signals blocked and ignored as `run`.
pub fn it_starts_with_the_signals_of_run(sandbox: &Sandbox) -> Checked {
    // Rust ignores SIGPIPE, but std restores it for the processes that it starts.
    let status = sandbox.machine.status(None)?;
    let given = status.set("SigIgn").unwrap_or_default() & !(1 << (Signal::SIGPIPE as u32 - 1)) | OF_GLIBC;
    let (mut run, process) = start_sleep(sandbox)?;
    let status = Task::of(sandbox, &process)?.status;
    let set = |name| status.set(name).unwrap_or_default();
    let (blocked, ignored) = (set("SigBlk"), set("SigIgn") & !given);
    sandbox.signal(process.pid, Signal::SIGKILL)?;
    run.wait()?;
    let pid = process.pid;
    let names = names_of(blocked);
    require!(blocked == 0, SignalsBlocked, "no signals blocked", "SigBlk in /proc/{pid}/status contains {names}");
    let names = names_of(ignored);
    require!(ignored == 0, SignalsIgnored, "no signals ignored", "SigIgn in /proc/{pid}/status contains {names}");
    Ok(())
}

fn names_of(mask: u64) -> String {
    let names: Vec<_> = Signal::iterator().filter(|it| contains(mask, *it)).map(Signal::as_str).collect();
    if names.is_empty() { format!("{mask:#x}") } else { names.join(", ") }
}

/// 127 for a command that isn't in the rootfs, 126 for one that can't be executed.
pub fn not_found_is_127(sandbox: &Sandbox) -> Checked {
    let [nowhere, name] = [(); 2].map(|()| sandbox.draw.word());
    // A program that looks on the host finds the first, and not the second.
    let scratch = sandbox.scratch()?;
    let outside = scratch.path.join(sandbox.draw.word());
    fs::write(&outside, "#!/bin/sh\nexit 3\n").context("writing on the throwaway host")?;
    fs::set_permissions(&outside, Permissions::from_mode(0o755)).context("chmod on the throwaway host")?;
    let check = |program: &str, expected, what| {
        let status = sandbox.start(&Invocation::default(), &[program])?.wait()?;
        let seen = format!("`run {program}`, {what}, ended with {}", describe(status));
        require!(status.code() == Some(expected), NotFoundStatus, format!("status {expected}"), "{seen}");
        Ok(())
    };
    check(&format!("/{nowhere}/{name}"), 127, "which doesn't exist")?;
    check(&nowhere, 127, "which doesn't exist")?;
    check(&outside.display().to_string(), 127, "which is on the host but not in ./rootfs")?;
    check(sandbox.draw.pick(&["/etc", "/bin", "/tmp"]), 126, "which is a directory")?;
    let what = "which is in ./rootfs but isn't executable";
    sandbox.with_marker(|name| check(&format!("/{name}"), 126, what))?
}
