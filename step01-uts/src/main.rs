//! Step 1: a hostname of its own.
//!
//! A process sees the machine through its namespaces, namespaces(7). This program moves into a new UTS namespace, which
//! holds the hostname, and becomes the command: unshare(2), sethostname(2), execve(2). The host keeps its name.
//!
//!     cargo xtask run step01 -- hostname

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

const NAME: &str = env!("CARGO_BIN_NAME");

fn main() -> ExitCode {
    let result = match env::args_os().skip(1).collect::<Vec<_>>().as_slice() {
        [mode, program, args @ ..] if mode == "run" => run(program, args),
        _ => Ok(fail(2, &format!("usage: {NAME} run COMMAND [ARG...]"))),
    };
    ExitCode::from(result.unwrap_or_else(|error| fail(125, &format!("{error:#}"))))
}

/// Leaves the host's UTS namespace, names the new one, and becomes the command, whose exit status is then ours.
fn run(program: &OsStr, args: &[OsString]) -> Result<u8> {
    unshare(CloneFlags::CLONE_NEWUTS).context("unshare(CLONE_NEWUTS)")?;
    sethostname("mini-docker").context("sethostname(\"mini-docker\")")?;
    // exec returns only if it fails.
    Ok(not_started(program, &Command::new(program).args(args).exec()))
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
