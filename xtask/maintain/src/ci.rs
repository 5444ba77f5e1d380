//! `cargo xtask ci`: everything that must hold before a change lands. `.ci/run` and the workflows on GitHub call this, and
//! hold nothing of it themselves.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use duct::cmd;
use nix::unistd::geteuid;

use crate::rootfs::{self, Source};
use crate::transcript::typed_to;
use crate::{bench, book, soak, test, workspace};

/// What `xtask ci` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Leave out the browser, on a machine that has no Chromium.
    pub no_browser: bool,
}

/// Runs all checks, each under a heading, and stops at the first that fails.
///
/// # Errors
/// The check that failed.
pub fn run(options: &Options) -> Result<ExitCode> {
    cargo("formatting", &["fmt", "--all", "--check"])?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])?;
    cargo("documentation", &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])?;
    tests("tests, on the first rootfs that can be had", &test::Options::default())?;
    let first = rootfs::stamp(&rootfs::test_room()?.join("rootfs"));
    for source in [Source::Busybox, Source::Host] {
        if first.as_ref() == Some(&source.to_string()) {
            // That was the first.
            continue;
        }
        tests(&format!("tests, on {source}"), &test::Options { source: Some(source), ..Default::default() })?;
    }
    if geteuid().is_root() {
        let privilege = Some("root".to_owned());
        tests("tests, on hosts without a user namespace", &test::Options { privilege, ..Default::default() })?;
    }
    cargo(
        "containers in Go and Python, and bwrap",
        &["test", "--package", "xtask", "--test", "shapes", "--", "--ignored"],
    )?;
    heading("a short soak");
    let (runs, parallel, moments) = soak::Options::default_numbers(true);
    let short = soak::Options { runs, parallel, moments, seed: None, privilege: None };
    ensure!(soak::run(&short)? == ExitCode::SUCCESS, "soak: something leaked");
    heading("the book");
    ensure!(book::run(&book::Options::Build { open: false })? == ExitCode::SUCCESS, "the book: it can't be built");
    if options.no_browser {
        eprintln!("ci: asked not to look at the book in a browser");
    } else {
        browser()?;
    }
    readme()?;
    heading("the bench, short: everybody runs, whatever the figures");
    let options = bench::Options { runs: 1, short: true, full: false, write: false, source: None };
    ensure!(bench::run(&options)? == ExitCode::SUCCESS, "the bench: something does not run");
    heading("all is well");
    Ok(ExitCode::SUCCESS)
}

/// Opens every page of the built book in headless Chromium: see book/browser/test.mjs.
fn browser() -> Result<()> {
    heading("the book in a browser");
    let folder = workspace::root().join("book/browser");
    for (program, args) in [("npm", ["ci", "--silent"].as_slice()), ("node", &["test.mjs"])] {
        let command = cmd(program, args).dir(&folder).stdin_null().unchecked();
        let status = command.run().with_context(|| format!("{program} is not there, or does not start"))?.status;
        ensure!(status.success(), "the book in a browser: `{program} {}` failed in book/browser", args.join(" "));
    }
    Ok(())
}

/// Types the commands of the README's demo, and compares what they say.
fn readme() -> Result<()> {
    heading("the README's demo");
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let demo = readme.split_once("```console\n").and_then(|(_, rest)| rest.split_once("```")).map(|(demo, _)| demo);
    let demo = demo.context("README.md has no console block")?;
    let lines: Vec<&str> = demo.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(!lines.is_empty(), "README.md's console block has no command");
    // So that the demo shows no line about making it.
    rootfs::ensure()?;
    let actual = typed_to(Command::new("sh").current_dir(workspace::root()), &lines)?;
    ensure!(actual == demo, "README.md's demo differs; it would now be:\n{actual}");
    Ok(())
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
