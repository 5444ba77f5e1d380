//! `cargo xtask test`: a rootfs, then every test; and a look at this machine before and after.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;

use crate::privilege::on_path;
use crate::rootfs::{self, Source};
use crate::steps::Step;
use crate::{host, mounts, workspace};

/// What `xtask test` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Only the tests of this step; `None` means the whole workspace.
    pub step: Option<Step>,
    /// What the tests' rootfs is made from; `None` takes the first source that can be had.
    pub source: Option<Source>,
    /// The throwaway hosts' privilege, `user` or `root`; `None` leaves it to them.
    pub privilege: Option<String>,
    /// For `cargo test`, after its own.
    pub cargo_args: Vec<OsString>,
}

/// Runs the tests. Its exit status is cargo's.
///
/// # Errors
/// When there is no rootfs to be had, or this machine is not as it was before the tests.
pub fn run(options: &Options) -> Result<ExitCode> {
    let room = match &options.source {
        None => rootfs::test_room()?,
        Some(source) => {
            let room = workspace::test_room(source.short());
            let force = matches!(source, Source::Path(_));
            let source = Some(source.clone());
            rootfs::make(&room.join("rootfs"), &rootfs::Options { source, force, ..Default::default() })?;
            room
        }
    };
    if let Some(stamp) = rootfs::stamp(&room.join("rootfs")) {
        eprintln!("test: on a rootfs from {stamp}");
    }

    let before = Machine::look();
    let mut cargo = Command::new(workspace::cargo());
    cargo.arg("test").current_dir(workspace::root()).env(rootfs::TEST_ROOM, &room);
    match &options.step {
        Some(step) => cargo.args(["--package", &step.name]),
        None => cargo.arg("--workspace"),
    };
    if let Some(privilege) = &options.privilege {
        cargo.env(host::PRIVILEGE, privilege);
    }
    cargo.args(&options.cargo_args);
    // Some tests need root, and are listed as ignored, with that reason, when somebody else runs them.
    if geteuid().is_root() {
        let has_separator = options.cargo_args.iter().any(|arg| arg == "--");
        cargo.args((!has_separator).then_some("--")).arg("--include-ignored");
        // These need something else, and say what.
        cargo.args([
            "--skip",
            "on_alpine::",
            "--skip",
            "with_more_than_a_usual_machine_has::",
            "--skip",
            "with_strace::",
        ]);
    }
    let mut passed = cargo.status().context("starting cargo")?.success();
    if options.step.is_none() {
        if room.join("rootfs/etc/alpine-release").exists() {
            let mut alpine = Command::new(workspace::cargo());
            alpine.args(["test", "--package", "xtask", "--test", "alpine", "--", "--ignored"]);
            passed &= alpine.current_dir(workspace::root()).env(rootfs::TEST_ROOM, &room).status()?.success();
        } else {
            eprintln!("test: this rootfs is no Alpine, so what the book shows of a real one was not checked");
        }
    }
    // They take their time, and do not depend on the rootfs.
    if options.step.is_none() && options.source.is_none() {
        if on_path("strace").is_some() {
            let mut strace = Command::new(workspace::cargo());
            strace.args(["test", "--package", "xtask", "--test", "faults", "--", "--ignored", "with_strace::"]);
            if let Some(privilege) = &options.privilege {
                strace.env(host::PRIVILEGE, privilege);
            }
            passed &= strace.current_dir(workspace::root()).env(rootfs::TEST_ROOM, &room).status()?.success();
        } else {
            eprintln!("test: there is no strace, so what the steps do when a system call fails was not checked");
        }
    }
    let after = Machine::look();
    ensure!(before == after, "the tests changed this machine: before {before:#?}, after {after:#?}");
    if !passed {
        eprintln!("test: some tests failed, see above");
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("test: all tests passed{}", if geteuid().is_root() { "" } else { ", but for those that need root" });
    Ok(ExitCode::SUCCESS)
}

/// What no test may change on the real machine: its name, and what is mounted where the tests work, or over /proc.
/// (Elsewhere somebody may plug in a disk at any time.)
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    hostname: String,
    mounts: Vec<PathBuf>,
}

impl Machine {
    /// Looks at it now.
    pub(crate) fn look() -> Machine {
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let places = [workspace::root().to_owned(), workspace::target(), env::temp_dir(), "/proc".into()];
        let mut mounts = mounts::points().unwrap_or_default();
        mounts.retain(|point| places.iter().any(|place| point.starts_with(place)));
        Machine { hostname, mounts }
    }
}
