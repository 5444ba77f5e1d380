//! `cargo xtask host`: runs a shell or a command on a throwaway host.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use lab::host::{Guests, build, environment};
use lab::privilege::Privilege;
use lab::process::{die_with_parent, exit_code, on_path, take_terminal_back, wait_for_foreground};
use lab::{cargo, choice, rootfs, steps, target, workspace};
use nix::sys::signal::{SigSet, Signal};

/// The banner of an interactive shell.
const BANNER: &str = "\
A throwaway host. Its name, mounts and processes vanish when you `exit`; its files
are your machine's own. The steps are here: for example, `step02-pid run ps -e`.";

/// A second line of the banner, if the learner's program has been built.
const BANNER_MINE: &str = "So is your program in workshop/, as it was last built: `mine run sh`.";

/// The options of `xtask host`.
#[derive(Debug, Default)]
pub struct Options {
    /// [`Privilege::User`] or [`Privilege::Root`]; `None` means the first that works.
    pub privilege: Option<Privilege>,
    /// The program and its arguments; empty means a shell.
    pub command: Vec<OsString>,
    /// End when the thread that started us ends.
    pub die_with_parent: bool,
}

/// Runs a command on a throwaway host of its own, and passes on its exit status. This process must have one thread.
///
/// # Errors
/// When the kernel refuses a call, which the error names.
pub fn run(options: Options) -> Result<ExitCode> {
    let programs = if options.die_with_parent {
        die_with_parent()?;
        // A test, which has built the steps together with this program.
        env::current_exe()?.parent().map(PathBuf::from).into_iter().collect()
    } else {
        let programs = build_steps()?;
        rootfs::ensure()?;
        env::set_current_dir(workspace::root())?;
        programs
    };
    // A host needs what the first two steps need, and /proc, which the last one mounts.
    let step = steps::all()?.last().map_or(0, |step| step.number);
    let choice = choice::choose(&choice::ways_to_a_host(), options.privilege, step).context("no throwaway host")?;
    let environment = environment(&programs)?;
    let mut init =
        build(choice.privilege == Privilege::User, Guests::Trusted, || Ok(())).context("no throwaway host")?;

    let is_shell = options.command.is_empty();
    let command = if is_shell { shell() } else { options.command };
    if is_shell {
        wait_for_foreground();
        eprintln!("{BANNER}");
        if programs.iter().any(|directory| directory.join("mine").exists()) {
            eprintln!("{BANNER_MINE}");
        }
    }
    let result = Command::new(&command[0]).args(&command[1..]).env_clear().envs(environment).spawn();
    // As in the steps, the command decides what Ctrl-C means.
    SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block()?;
    let result = result.and_then(|mut command| command.wait());
    take_terminal_back();
    init.kill()?;
    init.wait()?;
    if is_shell {
        eprintln!("You left the throwaway host, and it is gone.");
    }
    match result {
        Ok(status) => Ok(exit_code(status)),
        Err(error) => {
            eprintln!("xtask host: {}: {error}", command[0].display());
            Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }))
        }
    }
}

/// Builds the steps, and returns the directories of their programs and of the learner's.
fn build_steps() -> Result<Vec<PathBuf>> {
    let programs = cargo::steps_and(&[])?;
    let mut directories: Vec<PathBuf> = programs.values().filter_map(|it| it.parent().map(PathBuf::from)).collect();
    directories.push(target::workshop()?.join("debug"));
    directories.sort();
    directories.dedup();
    Ok(directories)
}

/// Returns an interactive shell. bash comes first, because dash complains when it ends in a PID namespace that it can't give back
/// the terminal, and ends with status 2.
fn shell() -> Vec<OsString> {
    match on_path("bash") {
        Some(bash) => vec![bash.into(), "--norc".into()],
        None => vec!["sh".into()],
    }
}
