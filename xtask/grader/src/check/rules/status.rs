//! Exercise `status`: the statuses that a shell reports.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use super::*;

/// 128 + n for signal n.
pub fn signals_are_reported(sandbox: &Sandbox) -> Checked {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut run = sandbox.start(&Invocation::default(), &["sleep", "4242"])?;
        let command = wait_for(sandbox, &mut run, &["sleep", "4242"])?;
        if command.inner_pid() == 1 && signal != Signal::SIGKILL {
            // Process 1 receives no signal that it has no handler for.
            sandbox.signal(command.pid, Signal::SIGKILL)?;
            run.wait()?;
            continue;
        }
        sandbox.signal(command.pid, signal)?;
        let (status, expected) = (run.wait()?, 128 + signal as i32);
        // Killing itself by the same signal is as good: the shell that waits makes the same number of it.
        let is_right = status.code() == Some(expected) || status.signal() == Some(signal as i32);
        let how = describe(status);
        let expected = format!("status {expected}");
        require!(is_right, SignalLost, expected, "{signal} killed the command, and `run` ended with {how}");
    }
    Ok(())
}

/// 127 for a command that isn't in the rootfs, 126 for one that can't be executed.
pub fn not_found_is_127(sandbox: &Sandbox) -> Checked {
    // A program that looks on the host finds the first, and not the second.
    let scratch = sandbox.scratch()?;
    let outside = scratch.path.join("only-outside");
    fs::write(&outside, "#!/bin/sh\nexit 3\n").context("writing on the throwaway host")?;
    fs::set_permissions(&outside, Permissions::from_mode(0o755)).context("chmod on the throwaway host")?;
    let check = |program: &str, expected, what| {
        let status = sandbox.start(&Invocation::default(), &[program])?.wait()?;
        let seen = format!("`run {program}`, {what}, ended with {}", describe(status));
        require!(status.code() == Some(expected), NotFoundStatus, format!("status {expected}"), "{seen}");
        Ok(())
    };
    check("/no/such/program", 127, "which is nowhere")?;
    check("no-such-program", 127, "which is nowhere")?;
    check(&outside.display().to_string(), 127, "which is on the host, and not in ./rootfs")?;
    check("/etc", 126, "which is a folder")?;
    let what = "which is in ./rootfs, without the permission to be executed";
    sandbox.with_marker(|name| check(&format!("/{name}"), 126, what))?
}
