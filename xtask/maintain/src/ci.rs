//! `cargo xtask ci`: everything that must hold before a change lands. `.ci/run` and the workflows on GitHub call this, and
//! check nothing themselves.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use lab::rootfs::{self, Source};
use lab::{cargo, workspace};
use nix::unistd::geteuid;
use testkit::transcript::typed_to;

/// What `xtask ci` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Leave out the browser, on a machine without Chromium.
    pub no_browser: bool,
}

/// Runs all checks, each under a heading, and stops at the first that fails.
///
/// # Errors
/// The check that failed.
pub fn run(options: &Options) -> Result<ExitCode> {
    with_cargo("formatting", "fmt --all --check")?;
    with_cargo("lints", "clippy --workspace --all-targets --locked -- --deny warnings")?;
    with_cargo("documentation", "doc --workspace --no-deps --document-private-items --locked")?;
    with_cargo("the README's test command", "xtask test")?;
    with_cargo("all tests", "xtask test --all")?;
    let first = rootfs::stamp(&rootfs::test_directory()?.join("rootfs"));
    for source in [Source::Busybox, Source::Host].iter().filter(|it| first.as_ref() != Some(&it.to_string())) {
        with_cargo(&format!("tests, on {source}"), &format!("xtask test --source {}", source.short()))?;
    }
    if geteuid().is_root() {
        with_cargo("tests, on hosts without a user namespace", "xtask test --all --privilege root")?;
    }
    with_cargo("a short soak", "xtask soak --short")?;
    with_cargo("the book", "xtask book")?;
    match options.no_browser {
        true => eprintln!("ci: left out: the book in a browser; asked by --no-browser"),
        false => browser()?,
    }
    readme()?;
    with_cargo("a short bench: every contender runs", "xtask bench --short")?;
    heading("every check passed");
    Ok(ExitCode::SUCCESS)
}

fn heading(what: &str) {
    eprintln!("\n==> {what}");
}

/// Runs cargo with the words of a command line.
fn with_cargo(what: &str, line: &str) -> Result<()> {
    heading(what);
    let mut command = Command::new(cargo::program());
    // Documentation has no flag of its own for this.
    command.args(line.split(' ')).env("RUSTDOCFLAGS", "--deny warnings");
    succeeds(what, command.current_dir(workspace::root()))
}

fn succeeds(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(status.success(), "{what}: {command:?} failed");
    Ok(())
}

/// Opens every page of the built book in headless Chromium: see book/browser/test.mjs.
fn browser() -> Result<()> {
    heading("the book in a browser");
    let directory = workspace::root().join("book/browser");
    succeeds("the book's browser", Command::new("npm").args(["ci", "--silent"]).current_dir(&directory))?;
    succeeds("the book in a browser", Command::new("node").arg("test.mjs").current_dir(&directory))
}

/// Types the commands of the README's demo, and compares the output.
fn readme() -> Result<()> {
    heading("the README's demo");
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let demo = readme.split_once("```console\n").and_then(|(_, rest)| rest.split_once("```")).map(|(demo, _)| demo);
    let demo = demo.context("README.md has no console block")?;
    let lines: Vec<&str> = demo.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(!lines.is_empty(), "README.md's console block has no command");
    // So that the demo has no line about making it.
    rootfs::ensure()?;
    let mut shell = Command::new("sh");
    // Nor cargo's progress, which the README leaves out.
    let actual = typed_to(shell.current_dir(Path::new(workspace::root())).env("CARGO_TERM_QUIET", "true"), &lines)?;
    ensure!(actual == demo, "README.md's demo differs; it would now be:\n{actual}");
    Ok(())
}
