//! A program that runs a command, and isolates nothing. From here on it is yours.
//!
//!     cargo xtask check

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

fn main() -> Result<ExitCode> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let [mode, program, args @ ..] = args.as_slice() else {
        bail!("usage: mine run COMMAND [ARG...]");
    };
    if mode != "run" {
        bail!("usage: mine run COMMAND [ARG...]");
    }
    // Name each call in its error, as here: what the kernel says is mostly "No such file or directory".
    let status = Command::new(program).args(args).status().context("execve")?;
    Ok(ExitCode::from(status.code().unwrap_or(1) as u8))
}
