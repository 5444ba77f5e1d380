//! `cargo xtask check`: grades a program by what the kernel reports about it.
//!
//! What a program prints isn't believed. It starts a command on a throwaway host, and while the command waits, its /proc/PID
//! is read from outside, and so is the host, before and after. So a program in any language can be graded, if it follows
//! `PROGRAM run COMMAND [ARG...]` in a directory with a `rootfs/`; and a failure has the name of a misconception.
//!
//! `sandbox` runs the program, `probe` and `observation` collect evidence, and `rules` judge it.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;
use lab::privilege::Privilege;
use lab::rootfs::Source;
use lab::{choice, output, steps, workspace};
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use crate::text::{Color, Request};
use crate::{catalog, workshop};

pub mod diagnosis;
mod directory;
mod evidence;
mod observation;
mod probe;
pub mod report;
mod rules;
mod sandbox;
mod stderr;
pub mod verdict;

use directory::Directory;
use rules::Rule;
pub use sandbox::TIME_LIMIT;
use sandbox::{Sandbox, WALL_LIMIT};
use verdict::{Checked, Error, Verdict};

/// The hidden first argument of a sandbox's process.
pub const SANDBOX: &str = "--sandbox";

/// What `xtask check` was asked for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Status 0: all pass. 1: one fails, or yours does not compile. 77: this machine can't tell. 2: nothing to \
                        grade."
)]
pub struct Options {
    /// Its number or name [default: the one that you are at]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
    /// Grade this program, in any language; it must take `run COMMAND [ARG...]` [default: the one in workshop/]
    #[arg(long = "cmd", value_name = "PROGRAM")]
    pub program: Option<OsString>,
    /// Check again whenever it changes, until Ctrl-D
    #[arg(long)]
    pub watch: bool,
    /// Print JSON instead of a report
    #[arg(long)]
    pub json: bool,
    /// When to colour the report: auto (on a terminal), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
    /// Make its rootfs from alpine (downloaded, verified and kept), busybox or host (this machine's programs), or from the tarball
    /// or directory of that path [default: the first of alpine, busybox and host that works]
    #[arg(long)]
    pub source: Option<Source>,
    /// Grade on a throwaway host in a user namespace (user), or as root (root); auto tries them in this order
    #[arg(long, value_name = "HOW", default_value = "auto",
          value_parser = |way: &str| Privilege::parse(way, &[Privilege::User, Privilege::Root]))]
    pub privilege: Request,
}

const PASSED: u8 = 0;
const FAILED: u8 = 1;
/// There is nothing to grade, or the grader fails.
const UNUSABLE: u8 = 2;
/// What test suites use for a test that was skipped.
const CANNOT_RUN: u8 = 77;

/// Grades, reports, and notes what was passed. The exit status is 0 if all checks pass, 1 if one fails or the learner's
/// program doesn't compile, 77 if this machine can't tell, and 2 if there is nothing to grade or the grader fails.
pub fn run(options: &Options) -> ExitCode {
    let result = if options.watch { watch(options) } else { once(options) };
    ExitCode::from(result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        UNUSABLE
    }))
}

fn once(options: &Options) -> Result<u8> {
    let exercise = workshop::meant(options.exercise)?;
    let program = match &options.program {
        Some(program) => vec![absolute(program)?],
        None => match workshop::build(exercise)? {
            Some(program) => vec![program.into()],
            // The compiler has explained why.
            None => return Ok(FAILED),
        },
    };
    let directory = Directory::of(options.source.as_ref())?;
    let last = steps::all()?.last().map_or(0, |step| step.number);
    let graded = match choice::choose(&choice::ways_to_a_host(), options.privilege, last) {
        Err(error) => {
            let no_host = Verdict::CannotRun { why: "no throwaway host".into(), cure: format!("{error:#}") };
            vec![Graded { exercise, verdicts: vec![Some(no_host)] }]
        }
        Ok(choice) => {
            let in_user_namespace = choice.privilege == Privilege::User;
            grade(&Candidate { program, directory: directory.path.clone(), in_user_namespace }, exercise)?
        }
    };
    let outcome = outcome(&graded);
    if outcome == PASSED {
        workshop::note_passed(&graded.iter().map(|it| it.exercise).collect::<Vec<_>>())?;
    }
    let text = match options.json {
        true => report::json(exercise, &graded)?,
        false => report::text(exercise, &graded, options.program.as_deref(), options.color.is_on())?,
    };
    output::write(&text)?;
    Ok(outcome)
}

/// Returns the exit status for all verdicts.
fn outcome(graded: &[Graded]) -> u8 {
    let any = |is: fn(&Verdict) -> bool| graded.iter().flat_map(|it| it.verdicts.iter().flatten()).any(is);
    match () {
        () if any(|verdict| matches!(verdict, Verdict::Fail(_))) => FAILED,
        () if any(|verdict| matches!(verdict, Verdict::CannotRun { .. })) => CANNOT_RUN,
        () => PASSED,
    }
}

/// Returns the path of a program that starts in another directory. A mere name is looked for on the PATH there.
fn absolute(program: &OsString) -> Result<OsString> {
    let path = Path::new(program);
    if path.components().count() == 1 && !path.exists() {
        return Ok(program.clone());
    }
    Ok(std::path::absolute(path).with_context(|| format!("finding {}", path.display()))?.into())
}

fn watch(options: &Options) -> Result<u8> {
    const INTERVAL: Duration = Duration::from_millis(200);
    let ended = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        at_end.store(true, Ordering::Relaxed);
    });
    let source = options.program.as_ref().map_or_else(|| workspace::workshop().join("src"), PathBuf::from);
    loop {
        let seen = workshop::fingerprint(&source);
        if io::stdout().is_terminal() && !options.json {
            // Clear, and go to the top.
            output::write("\x1b[2J\x1b[H")?;
        }
        let outcome = once(options)?;
        if !options.json {
            eprintln!("watching; Ctrl-D ends it");
        }
        while workshop::fingerprint(&source) == seen {
            if ended.load(Ordering::Relaxed) {
                return Ok(outcome);
            }
            thread::sleep(INTERVAL);
        }
    }
}

/// A program to be graded, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The program, and arguments that stand before `run`.
    pub program: Vec<OsString>,
    /// Where it starts: a directory with a `rootfs/`.
    pub directory: PathBuf,
    /// On a throwaway host in a user namespace, or on one of root's own.
    pub in_user_namespace: bool,
}

/// An exercise and the verdict of each check; `None` if that wasn't asked for, because an earlier one failed.
#[derive(Debug)]
pub struct Graded {
    /// The exercise.
    pub exercise: &'static Exercise,
    /// The verdicts, in the order of its checks.
    pub verdicts: Vec<Option<Verdict>>,
}

/// Grades a program by an exercise and those that it builds on, and stops at the first that it fails.
///
/// # Errors
/// When the grader fails, which is no verdict on the program.
pub fn grade(candidate: &Candidate, exercise: &'static Exercise) -> Result<Vec<Graded>> {
    let exercises = exercise.with_earlier(catalog::exercises()?);
    let has_shared = !rules::shared(&exercises)?.is_empty();
    let shared = if has_shared { start_sandbox(candidate, exercise, ALL_SHARED)? } else { Vec::new() };
    let mut shared = shared.into_iter();
    let mut failed = false;
    let mut graded = Vec::new();
    for earlier in exercises {
        let mut verdicts = Vec::new();
        for check in &earlier.checks {
            let verdict = match rules::find(&check.rule)? {
                Rule::Shared(_) => shared.next(),
                // A program that fails here would only fail there for the same reason.
                Rule::Own(_) if failed => None,
                Rule::Own(_) => start_sandbox(candidate, exercise, &check.rule)?.pop(),
            };
            let verdict = verdict.filter(|_| !failed);
            failed |= matches!(verdict, Some(Verdict::Fail(_)));
            verdicts.push(verdict);
        }
        graded.push(Graded { exercise: earlier, verdicts });
    }
    Ok(graded)
}

/// Asks a sandbox for all rules that share one run.
const ALL_SHARED: &str = "shared";

/// Starts a sandbox, a process of its own, and returns its verdicts.
fn start_sandbox(candidate: &Candidate, exercise: &Exercise, rule: &str) -> Result<Vec<Verdict>> {
    // This process may be a test's.
    let output = Command::new(workspace::programs()?.join("grader"))
        .args([SANDBOX, &exercise.id, rule, if candidate.in_user_namespace { "user" } else { "root" }])
        .arg(&candidate.directory)
        .args(&candidate.program)
        .stdin(Stdio::null())
        .env_remove("RUST_BACKTRACE")
        .output()
        .context("starting a sandbox")?;
    ensure!(output.status.signal() != Some(Signal::SIGALRM as i32), "the sandbox did not end in time");
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", stderr.trim().trim_start_matches("xtask: "));
    serde_json::from_slice(&output.stdout).context("reading the verdicts of a sandbox")
}

/// The process of a sandbox, which ends with its parent: prints verdicts. `args` are those that [`grade`] starts it with.
///
/// # Errors
/// When there is no throwaway host, or the sandbox itself fails.
pub fn sandbox(args: &[OsString]) -> Result<ExitCode> {
    let [exercise, rule, rights, directory, program @ ..] = args else { bail!("`{SANDBOX}` is for `check`") };
    let exercise = catalog::exercise(&exercise.to_string_lossy())?;
    lab::process::die_with_parent()?;
    // The sandbox's own limit, and the time that a busy machine takes to build and end a host.
    alarm::set(WALL_LIMIT.as_secs() as u32 + 30);
    let sandbox = Sandbox::open(program.to_vec(), Path::new(directory), rights == "user")?;
    let can_run = rules::machine_has_what_it_needs(&exercise.id, &sandbox);
    let verdicts = if rule == ALL_SHARED {
        let rules = rules::shared(&exercise.with_earlier(catalog::exercises()?))?;
        match can_run.and_then(|()| probe::observe(&sandbox)) {
            Ok(evidence) => rules.into_iter().map(|rule| verdict(rule(&evidence))).collect::<Result<_>>()?,
            Err(error) => vec![verdict(Err(error))?; rules.len()],
        }
    } else {
        let Rule::Own(rule) = rules::find(&rule.to_string_lossy())? else { bail!("`{SANDBOX}` is for `check`") };
        vec![verdict(can_run.and_then(|()| rule(&sandbox)))?]
    };
    sandbox.close();
    serde_json::to_writer(io::stdout(), &verdicts)?;
    Ok(ExitCode::SUCCESS)
}

/// A fault of the program is a verdict on it; one of ours isn't.
fn verdict(checked: Checked) -> Result<Verdict> {
    match checked {
        Ok(()) => Ok(Verdict::Pass),
        Err(Error::Verdict(verdict)) => Ok(verdict),
        Err(Error::Internal(error)) => Err(error),
    }
}
