//! `cargo xtask ci`: everything that must hold before a change lands. `.ci/run` and the workflows on GitHub call this, and
//! check nothing themselves.

use std::fs;
use std::panic::resume_unwind;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use duct::cmd;
use lab::process::on_path;
use lab::rootfs::{self, Source};
use lab::{cargo, steps, workspace};
use nix::unistd::geteuid;
use testkit::transcript::typed_to;

use crate::machines::CANNOT_RUN;

/// Run everything that must hold before a change lands
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Don't open the book in Chromium, and don't build the machine in it; they need chromium, chromedriver, node and npm
    #[arg(long)]
    no_browser: bool,
}

/// Runs all checks, and stops at the first that fails. Those that take little time and fail most often come first.
///
/// # Errors
/// If a check fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    with_cargo("formatting", "fmt --all --check")?;
    with_cargo("lints", "clippy --workspace --all-targets --locked -- --deny warnings")?;
    on_32_bits()?;
    with_cargo("documentation", "doc --workspace --no-deps --document-private-items --locked")?;
    with_cargo("the README's test command", "xtask test")?;
    check("the README's demo", readme)?;
    match geteuid().is_root() {
        // An ordinary user's checks, such as those of `.ci/run`, have hosts in user namespaces.
        true => with_cargo("all tests, on hosts without a user namespace", "xtask test --all --privilege root")?,
        false => with_cargo("all tests", "xtask test --all")?,
    }
    let first = rootfs::stamp(&rootfs::test_directory()?.join("rootfs"));
    for source in [Source::Busybox, Source::Host].iter().filter(|it| first.as_ref() != Some(&it.to_string())) {
        with_cargo(&format!("tests, on {source}"), &format!("xtask test --source {}", source.short()))?;
    }
    // Neither keeps two processors busy, and both take minutes.
    thread::scope(|scope| {
        let machine = scope.spawn(machine);
        book(options)?;
        machine.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    with_cargo("a short soak", "xtask soak --short")?;
    with_cargo("a short bench", "xtask bench --short")?;
    match on_path("podman") {
        Some(_) => with_cargo("the finale", "xtask finale --check")?,
        None => eprintln!("\nci: left out: the finale; `sudo apt install podman`"),
    }
    eprintln!("\nci: every check passed, in {} s", start.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}

/// Runs a check under a heading, and prints its time.
fn check(what: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("\n==> {what}");
    let start = Instant::now();
    let result = run().with_context(|| format!("ci: {what}"));
    eprintln!("ci: {what}: {:.0} s", start.elapsed().as_secs_f64());
    result
}

/// Runs cargo with the words of a command line.
fn with_cargo(what: &str, line: &str) -> Result<()> {
    let mut command = Command::new(cargo::program());
    // Documentation has no flag of its own for this.
    command.args(line.split(' ')).env("RUSTDOCFLAGS", "--deny warnings").current_dir(workspace::root());
    check(what, || succeeds(&mut command))
}

fn succeeds(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// Builds the book, and the machine in its pages, and opens both in a browser.
fn book(options: &Options) -> Result<()> {
    if options.no_browser {
        eprintln!("ci: left out: the machine in the book, and the book in a browser; --no-browser");
        return with_cargo("the book", "xtask book");
    }
    with_cargo("the machine in the book", "xtask book live --check")?;
    with_cargo("the book", "xtask book")?;
    check("the book in a browser", || browser("test.mjs"))?;
    check("the page of class in a browser", || browser("class.mjs"))?;
    check("the machine in a browser", || browser("live.mjs"))
}

/// Boots one virtual machine, and runs the steps and the exercises with cgroups in it. Its output appears at the end, because other
/// checks print meanwhile.
fn machine() -> Result<()> {
    check("a virtual machine, at the same time", || {
        let machine = cmd!(cargo::program(), "xtask", "machines", "--check", "--short").dir(workspace::root());
        let output = machine.stderr_to_stdout().stdout_capture().unchecked().run().context("starting cargo")?;
        eprintln!("\n{}", String::from_utf8_lossy(&output.stdout));
        match output.status.code() {
            Some(0) => {}
            Some(code) if code == i32::from(CANNOT_RUN) => eprintln!("ci: left out: a virtual machine; see above"),
            _ => bail!("`cargo xtask machines --check --short` failed"),
        }
        Ok(())
    })
}

/// Compiles what a learner compiles for a machine on which the C library's types have 32 bits.
fn on_32_bits() -> Result<()> {
    let target = "i686-unknown-linux-musl";
    if !cargo::has_target(target) {
        eprintln!("\nci: left out: a machine with 32 bits; `rustup target add {target}`");
        return Ok(());
    }
    let steps: String = steps::all()?.iter().map(|step| format!(" --package {}", step.name)).collect();
    with_cargo("a machine with 32 bits", &format!("check --locked --target {target} --package xtask{steps}"))
}

/// Opens the built book in headless Chromium, and runs a test of book/browser/.
fn browser(test: &str) -> Result<()> {
    let directory = workspace::root().join("book/browser");
    succeeds(Command::new("npm").args(["ci", "--silent"]).current_dir(&directory))?;
    succeeds(Command::new("node").arg(test).current_dir(&directory))
}

/// Types the commands of the README's demo, and compares the output.
fn readme() -> Result<()> {
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let demo = readme.split_once("```console\n").and_then(|(_, rest)| rest.split_once("```")).map(|(demo, _)| demo);
    let demo = demo.context("README.md has no console block")?;
    let lines: Vec<&str> = demo.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(!lines.is_empty(), "README.md's console block has no command");
    // Beforehand, so that the demo prints no line about making it.
    rootfs::ensure()?;
    let mut shell = Command::new("sh");
    // Without cargo's progress, which the README leaves out.
    let actual = typed_to(shell.current_dir(workspace::root()).env("CARGO_TERM_QUIET", "true"), &lines)?;
    ensure!(actual == demo, "README.md's demo differs; it would now be:\n{actual}");
    Ok(())
}
