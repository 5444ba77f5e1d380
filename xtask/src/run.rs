//! `cargo xtask run`: builds a step, or the learner's own program, gets what it needs, and becomes it.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use duct::cmd;

use crate::privilege::{self, Privilege};
use crate::steps::{self, Step};
use crate::{catalog, fresh, host, rootfs, workshop, workspace};

/// What can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A step's.
    Step(Step),
    /// The learner's, in `workshop/`.
    Mine,
}

/// What `xtask run` was asked for.
#[derive(Debug)]
pub struct Options {
    /// Whose program to run.
    pub program: Program,
    /// The program and its arguments; empty means an interactive shell.
    pub command: Vec<OsString>,
    /// The only way to use for the rights; `None` finds one.
    pub privilege: Option<Privilege>,
    /// Build with optimizations.
    pub release: bool,
}

/// Runs the program in the workspace's folder, in this process: its exit status and its terminal are ours. Returns only if
/// that fails.
///
/// # Errors
/// When it can't be built, there is no rootfs to be had, or no way to the rights.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (program, needs_rootfs) = match &options.program {
        Program::Step(step) => (build(step, options.release)?, step.needs_rootfs()),
        // Which exercise it has come to, nobody knows.
        Program::Mine => (workshop::build(catalog::exercise("run")?)?, true),
    };
    let Some(program) = program else {
        // The compiler said why.
        return Ok(ExitCode::FAILURE);
    };
    if needs_rootfs {
        rootfs::ensure()?;
    }
    let privilege = match &options.program {
        Program::Step(step) => privilege::choose(options.privilege, step.number)?,
        // Even for root: a flag that was forgotten would rename this machine, or worse.
        Program::Mine => privilege::choose(options.privilege.or(Some(Privilege::User)), steps::all()?.len() as u32)?,
    };
    let mut command = match privilege {
        Privilege::Sudo => Command::new("sudo"),
        Privilege::Root | Privilege::User => Command::new(&program),
    };
    if privilege == Privilege::Sudo {
        command.arg("--").arg(&program);
    }
    command.arg("run");
    if options.command.is_empty() {
        command.arg(shell(&options.program));
    }
    command.args(&options.command).current_dir(workspace::root());
    leave_cargos_environment(&mut command);
    if options.command.is_empty() {
        host::terminal_foreground();
    }
    if privilege == Privilege::User {
        privilege::enter_user_namespace()?;
    }
    let error = command.exec();
    Err(error).with_context(|| format!("execve({:?})", command.get_program()))
}

/// In a step without a root of its own, the user's usual shell, whose prompt may show the new hostname; else the rootfs's.
fn shell(program: &Program) -> OsString {
    // The learner's may have a root of its own or not; there is a /bin/sh in both.
    if !matches!(program, Program::Step(step) if !step.needs_rootfs()) {
        return "/bin/sh".into();
    }
    let usual = env::var_os("SHELL").filter(|shell| shell != "/bin/sh" && Path::new(shell).is_file());
    usual.or_else(|| privilege::on_path("bash").map(Into::into)).unwrap_or_else(|| "/bin/sh".into())
}

/// Builds a step; none if the compiler has said why not.
fn build(step: &Step, release: bool) -> Result<Option<PathBuf>> {
    let path = workspace::step_programs(release)?.join(&step.name);
    let program = fresh::Program::new(path.clone());
    if program.is_fresh() {
        return Ok(Some(path));
    }
    let mut args: Vec<OsString> = ["build", "--quiet", "--package", &step.name].map(OsString::from).into();
    // Where we look for it, whoever has set or unset CARGO_TARGET_DIR since we were built.
    args.extend(["--target-dir".into(), workspace::target().into()]);
    args.extend(release.then(|| "--release".into()));
    if !path.exists() {
        eprintln!("xtask: building {}; the first time takes some seconds", step.name);
    }
    let cargo = cmd(workspace::cargo(), args).dir(workspace::root()).unchecked();
    let start = program.start();
    let succeeded = cargo.run().context("starting cargo")?.status.success();
    program.keep(start.filter(|_| succeeded));
    Ok(succeeded.then_some(path))
}

/// `cargo run` tells a program about its package and adds to the library path. The step's program should see what it would
/// see if it were started by hand.
pub(crate) fn leave_cargos_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"CARGO") {
            command.env_remove(name);
        }
    }
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        let target = workspace::target();
        let is_cargos = |folder: &Path| {
            folder.starts_with(&target)
                || folder.components().any(|it| it.as_os_str() == "rustlib")
                || folder.components().any(|it| it.as_os_str() == "toolchains")
        };
        let rest: Vec<_> = env::split_paths(&path).filter(|folder| !is_cargos(folder)).collect();
        match env::join_paths(rest) {
            Ok(rest) if !rest.is_empty() => command.env("LD_LIBRARY_PATH", rest),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}
