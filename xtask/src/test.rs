//! `cargo xtask test`: makes a rootfs, runs the tests, and compares this machine before and after.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use lab::machine::Machine;
use lab::privilege::{self, Privilege};
use lab::process::on_path;
use lab::rootfs::{self, Source};
use lab::steps::Step;
use lab::{cargo, target, workspace};
use nix::unistd::geteuid;

/// The options of `xtask test`.
#[derive(Debug, Default)]
pub struct Options {
    /// Only the tests of this step; `None` means those of every package.
    pub step: Option<Step>,
    /// Include the tests that are marked `#[ignore]`, and those of the book.
    pub all: bool,
    /// The source of the tests' rootfs; `None` means the first that works.
    pub source: Option<Source>,
    /// The privilege of the throwaway hosts; `None` lets each choose.
    pub privilege: Option<Privilege>,
    /// More arguments for `cargo test`.
    pub cargo_args: Vec<OsString>,
}

/// Tests that the everyday run leaves out. Each is in a module of this name, and marked `#[ignore]`.
struct Group {
    module: &'static str,
    what: &'static str,
    /// Returns what is missing on this machine, or in the directory with the tests' rootfs.
    missing: fn(&Path) -> Option<&'static str>,
}

const GROUPS: &[Group] = &[
    Group { module: "slow::", what: "every wrong and right program, and what takes long", missing: |_| None },
    Group {
        module: "as_root::",
        what: "hosts without a user namespace",
        missing: |_| (!geteuid().is_root()).then_some("root"),
    },
    Group {
        module: "with_strace::",
        what: "what the steps do when a system call fails",
        missing: |_| on_path("strace").is_none().then_some("strace"),
    },
    Group {
        module: "with_podman::",
        what: "what podman asks of its runtime",
        missing: |_| (!geteuid().is_root() || on_path("podman").is_none()).then_some("root, and podman"),
    },
    Group {
        module: "on_alpine::",
        what: "what the book shows of a real Alpine",
        missing: |directory| {
            let is_alpine = directory.join("rootfs/etc/alpine-release").exists();
            (!is_alpine).then_some("an Alpine rootfs: --source alpine, or the path of one")
        },
    },
];

/// Runs the tests. The exit status is success only if all of them pass.
///
/// # Errors
/// If there is no rootfs, or the tests changed this machine.
pub fn run(options: &Options) -> Result<ExitCode> {
    ensure!(!workspace::IS_ARCHIVE, "the tests aren't part of the archive: they need a checkout of the repository");
    let directory = match &options.source {
        None => rootfs::test_directory()?,
        Some(source) => {
            let directory = target::test_directory(source.short())?;
            let force = matches!(source, Source::Path(_));
            let source = Some(source.clone());
            rootfs::make(&directory.join("rootfs"), &rootfs::Options { source, force, ..Default::default() })?;
            directory
        }
    };
    if let Some(stamp) = rootfs::stamp(&directory.join("rootfs")) {
        eprintln!("test: on a rootfs from {stamp}");
    }
    let before = Machine::observe()?;
    let programs = cargo::steps_and(&["xtask"])?;
    let mut cargo = Command::new(cargo::program());
    cargo.args(["test", "--no-fail-fast"]).current_dir(workspace::root()).env(rootfs::TEST_DIRECTORY, &directory);
    cargo.env(cargo::TEST_PROGRAM, &programs["xtask"]);
    match &options.step {
        Some(step) => _ = cargo.args(["--package", &step.name]),
        None if options.all => _ = cargo.arg("--workspace"),
        // The libraries of the book's builder take longer to compile than everything else.
        None => _ = cargo.args(["--workspace", "--exclude", "book"]),
    }
    if let Some(privilege) = options.privilege {
        cargo.env(privilege::TEST_PRIVILEGE, privilege.name());
    }
    if env::var_os("INSTA_UPDATE").is_none() {
        // A snapshot that waits for review would keep the book from being built.
        cargo.env("INSTA_UPDATE", "no");
    }
    if !options.all && env::var_os("PROPTEST_CASES").is_none() {
        // An eighth of the random cases that `--all` tries.
        cargo.env("PROPTEST_CASES", "32");
    }
    cargo.args(&options.cargo_args);
    if options.cargo_args.is_empty() {
        // No doc tests, because there are none.
        cargo.arg("--tests");
    }
    if options.all && !options.cargo_args.iter().any(|arg| arg == "--") {
        cargo.args(["--", "--include-ignored"]);
        for group in GROUPS.iter().filter(|group| (group.missing)(&directory).is_some()) {
            cargo.args(["--skip", group.module]);
        }
    }
    let passed = cargo.status().context("starting cargo")?.success();
    let after = Machine::observe()?;
    ensure!(before == after, "the tests changed this machine: it was {before:#?} and is {after:#?}");
    if !passed {
        eprintln!("test: some tests failed, see above");
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("test: every test that ran passed");
    for line in left_out(options, |group| (group.missing)(&directory)) {
        eprintln!("test: left out: {line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a line for everything that wasn't tested, with the reason or with the command that tests it. `missing` returns what a
/// group needs and this machine lacks.
fn left_out(options: &Options, missing: impl Fn(&Group) -> Option<&'static str>) -> Vec<String> {
    let everyday = !options.all && options.cargo_args.is_empty();
    let mut lines = Vec::new();
    for group in GROUPS {
        match missing(group) {
            Some(missing) => lines.push(format!("{}; needs {missing}", group.what)),
            None if everyday => lines.push(format!("{}; `cargo xtask test --all`", group.what)),
            None => {}
        }
    }
    if everyday && options.step.is_none() {
        lines.push("the book's builder; `cargo xtask test --all`".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_with_its_reason_or_command() {
        let lines = left_out(&Options::default(), |group| (group.module == "as_root::").then_some("root"));
        assert_eq!(lines.len(), GROUPS.len() + 1);
        assert!(lines.contains(&"hosts without a user namespace; needs root".to_owned()), "{lines:?}");
        assert!(lines.iter().filter(|line| line.ends_with("; `cargo xtask test --all`")).count() == GROUPS.len());
        let all = Options { all: true, ..Options::default() };
        assert!(left_out(&all, |_| None).is_empty());
    }
}
