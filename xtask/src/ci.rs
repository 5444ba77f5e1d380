//! `cargo xtask ci`: everything that must hold before a change lands. `.ci/run` and the workflows on GitHub call this, and
//! hold nothing of it themselves.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use duct::cmd;

use crate::rootfs::Source;
use crate::{test, workspace};

/// Runs all checks, each under a heading, and stops at the first that fails.
///
/// # Errors
/// The check that failed.
pub fn run() -> Result<ExitCode> {
    cargo("formatting", &["fmt", "--all", "--check"])?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])?;
    cargo("documentation", &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])?;
    tests("tests, on the first rootfs that can be had", &test::Options::default())?;
    for source in [Source::Busybox, Source::Host] {
        tests(&format!("tests, on {source}"), &test::Options { source: Some(source), ..Default::default() })?;
    }
    if test::is_root() {
        let privilege = Some("root".to_owned());
        tests("tests, on hosts without a user namespace", &test::Options { privilege, ..Default::default() })?;
    }
    heading("all is well");
    Ok(ExitCode::SUCCESS)
}

fn heading(what: &str) {
    eprintln!("\n==> {what}");
}

fn cargo(what: &str, args: &[&str]) -> Result<()> {
    heading(what);
    // Documentation has no flag of its own for this.
    let cargo = cmd(workspace::cargo(), args).dir(workspace::root()).env("RUSTDOCFLAGS", "--deny warnings");
    let output = cargo.unchecked().run().context("starting cargo")?;
    ensure!(output.status.success(), "{what}: `cargo {}` failed", args.join(" "));
    Ok(())
}

fn tests(what: &str, options: &test::Options) -> Result<()> {
    heading(what);
    ensure!(test::run(options)? == ExitCode::SUCCESS, "{what}: failed");
    Ok(())
}
