//! Runs a command on a throwaway host, as `cargo xtask host` does, on a machine without the repository: the one in the book's pages.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use lab::host::{Guests, build, environment};
use lab::process::exit_code;

fn main() -> Result<ExitCode> {
    if let Some(part) = lab::reexec() {
        return Ok(part);
    }
    let mut words = env::args_os().skip(1);
    let program = words.next().context("which command?")?;
    let environment = environment(&[])?;
    let mut init = build(false, Guests::Trusted, || Ok(())).context("no throwaway host")?;
    let status = Command::new(&program).args(words).env_clear().envs(environment).status();
    init.kill()?;
    init.wait()?;
    Ok(exit_code(status.with_context(|| format!("execve({program:?})"))?))
}
