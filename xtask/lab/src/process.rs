//! Small things about processes: finding programs, exit statuses, and dying with the parent.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

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

/// From now on, this process dies with the thread that started it.
pub fn die_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")
}
