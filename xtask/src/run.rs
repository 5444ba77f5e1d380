//! `cargo xtask run`: builds a step or the learner's program, prepares what it needs, and becomes it.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use lab::privilege::{self, Privilege};
use lab::process::{on_path, wait_for_foreground};
use lab::steps::{self, Step};
use lab::{cargo, environment, rootfs, target, workspace};

use crate::readiness;

/// A program that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A step's.
    Step(Step),
    /// The learner's, in `workshop/`.
    Mine,
}

/// The options of `xtask run`.
#[derive(Debug)]
pub struct Options {
    /// The program to run.
    pub program: Program,
    /// The command inside and its arguments; empty means an interactive shell.
    pub command: Vec<OsString>,
    /// How the program gets its rights; `None` finds a way.
    pub privilege: Option<Privilege>,
    /// Build with optimizations.
    pub release: bool,
}

/// Runs the program in the repository's directory, in place of this process, so that it has our terminal and its exit status is
/// ours. Returns only if that fails.
///
/// # Errors
/// If the program can't be built, or there is no rootfs, or no way to get the rights.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (built, step) = match &options.program {
        Program::Step(step) => (build(step, options.release)?, step.clone()),
        // How far the learner has come isn't known, so the program gets what the last step needs.
        Program::Mine => (build_mine()?, steps::all()?.pop().context("there are no steps")?),
    };
    // Otherwise the compiler has explained why not.
    let Some(program) = built else { return Ok(ExitCode::FAILURE) };
    if step.needs_rootfs() {
        rootfs::ensure()?;
    }
    let request = match &options.program {
        Program::Step(_) => options.privilege,
        // Even for root: without a user namespace, a forgotten flag would rename this machine, or worse.
        Program::Mine => options.privilege.or(Some(Privilege::User)),
    };
    let choice = readiness::of(&step, request)?;
    if let Some(instead) = choice.instead {
        eprintln!("xtask: {instead}\nxtask: running it {} instead", place(choice.privilege));
    }
    let mut command = Command::new(&program);
    if choice.privilege == Privilege::Sudo {
        command = Command::new("sudo");
        command.arg("--").arg(&program);
    }
    command.arg("run").args(&options.command).current_dir(workspace::root());
    environment::leave_cargos(&mut command);
    if options.command.is_empty() {
        command.arg(shell(&options.program));
        wait_for_foreground();
    }
    if choice.privilege == Privilege::User {
        privilege::enter_user_namespace()?;
    }
    let error = command.exec();
    Err(error).with_context(|| format!("execve({:?})", command.get_program()))
}

/// Returns where a program runs, in words.
pub fn place(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::User => "in a user namespace",
        Privilege::Root => "as root",
        Privilege::Sudo => "with sudo",
    }
}

/// Returns the user's usual shell in a step without a root of its own, where its prompt may show the new hostname; otherwise
/// the rootfs's.
fn shell(program: &Program) -> OsString {
    // The learner's may have a root of its own or not. There is a /bin/sh in both.
    if !matches!(program, Program::Step(step) if !step.needs_rootfs()) {
        return "/bin/sh".into();
    }
    let usual = env::var_os("SHELL").filter(|shell| shell != "/bin/sh" && Path::new(shell).is_file());
    usual.or_else(|| on_path("bash").map(Into::into)).unwrap_or_else(|| "/bin/sh".into())
}

/// Builds a step; `None` if the compiler has explained why not.
fn build(step: &Step, release: bool) -> Result<Option<PathBuf>> {
    if workspace::IS_ARCHIVE {
        return Ok(cargo::steps_and(&[])?.remove(&step.name));
    }
    let mut args = vec!["build".to_owned(), "--package".into(), step.name.clone()];
    if release {
        args.extend(cargo::release_args());
    }
    cargo::build_program(None, &args, &step.name)
}

/// Builds the learner's program; `None` if the compiler has explained why not.
fn build_mine() -> Result<Option<PathBuf>> {
    ensure!(!workspace::IS_ARCHIVE, "{}", workspace::NO_RUST);
    let workshop = workspace::workshop();
    let manifest = workshop.join("Cargo.toml");
    ensure!(
        manifest.exists() || !workshop.is_dir(),
        "`mine` is a program in Rust, and workshop/ has none: start yours by its path, on a host that `cargo xtask host` opens"
    );
    ensure!(manifest.exists(), "there is no workshop/ yet: `cargo xtask workshop start` makes it");
    let args = ["build", "--bin", "mine", "--target-dir"].map(OsString::from);
    let args: Vec<OsString> = args.into_iter().chain([target::workshop()?.into()]).collect();
    cargo::build_program(Some(&manifest), &args, "mine")
}
