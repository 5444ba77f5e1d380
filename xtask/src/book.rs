//! `cargo xtask book`: builds the book, by the program of the package `book`. That has more dependencies than all the rest
//! together, so it is no part of this one: only who builds the book pays for it.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::workspace;

/// What `xtask book` was asked for.
#[derive(Debug, Clone, Copy)]
pub enum Options {
    /// Build the book.
    Build {
        /// And show it.
        open: bool,
    },
    /// Show the book while it is written.
    Serve {
        /// Where a browser finds it, on the loopback address.
        port: u16,
    },
}

/// Builds or serves the book. Its exit status is that of the book's program.
///
/// # Errors
/// When cargo can't be started.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["run", "--quiet", "--package", "book", "--"]).current_dir(workspace::root());
    match options {
        Options::Build { open } => {
            cargo.args(["build".as_ref()].into_iter().chain(open.then_some(OsStr::new("--open"))));
        }
        Options::Serve { port } => {
            cargo.arg("serve").arg("--port").arg(port.to_string());
        }
    }
    if !workspace::programs()?.join("book").exists() {
        eprintln!("xtask: building the book's tools; the first time that takes a minute or more");
    }
    let status = cargo.status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
