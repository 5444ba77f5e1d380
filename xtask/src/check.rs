//! `cargo xtask check`: grades a program by what the kernel says of it.
//!
//! What a program prints is not believed. It is started on a throwaway host with a command, and looked at from outside
//! while that waits: in /proc/PID of the command, and on the host, before and after. So a program in any language can be
//! graded, if it follows `PROGRAM run COMMAND [ARG...]` in a folder with a `rootfs/`; and a failure has the name of a
//! misconception. The rooms: `exam` is the host and the program on it, `proc` the kernel's word, `look` and `behaviour`
//! what is judged, `diagnosis` the misconceptions, `verdict` an outcome.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::exercises::{self, Exercise};
use crate::workspace;

pub mod behaviour;
pub mod diagnosis;
pub mod exam;
pub mod look;
pub mod proc;
pub mod verdict;

use exam::{Exam, Trouble};
use look::{Judged, Look};
use verdict::Verdict;

/// The hidden first argument of the examiner.
pub const EXAM: &str = "--exam";

/// One thing that must hold.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What, as a sentence.
    pub says: &'static str,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// By the one look that all of these share.
    Look(fn(&Look) -> Judged),
    /// By a run of its own.
    Alone(fn(&Exam) -> behaviour::Checked),
}

impl Check {
    /// A check that judges the look at a waiting command.
    pub const fn look(says: &'static str, judge: fn(&Look) -> Judged) -> Check {
        Check { says, how: How::Look(judge) }
    }

    /// A check that runs the program in its own way.
    pub const fn alone(says: &'static str, check: fn(&Exam) -> behaviour::Checked) -> Check {
        Check { says, how: How::Alone(check) }
    }
}

/// A program to be graded, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The program, and arguments that stand before `run`.
    pub program: Vec<OsString>,
    /// Where it starts: a folder with a `rootfs/`.
    pub folder: PathBuf,
    /// On a throwaway host in a user namespace, or on one of root's own?
    pub in_user_namespace: bool,
}

/// What an exercise came to: each check and its verdict; none if it was not looked at, because an earlier one failed.
#[derive(Debug)]
pub struct Graded {
    /// The exercise.
    pub exercise: &'static Exercise,
    /// Its checks, in their order.
    pub verdicts: Vec<Option<Verdict>>,
}

/// Grades a program by an exercise and those before it, and stops at the first that it fails.
///
/// # Errors
/// When the examiner fails, which is no verdict on the program.
pub fn grade(candidate: &Candidate, exercise: &'static Exercise) -> Result<Vec<Graded>> {
    let exercises = exercise.with_earlier();
    let looks = if exercises.iter().any(|it| it.checks.iter().any(|it| matches!(it.how, How::Look(_)))) {
        examine(candidate, exercise, "look")?
    } else {
        Vec::new()
    };
    let mut looks = looks.into_iter();
    let mut graded = Vec::new();
    let mut failed = false;
    for exercise in exercises {
        let mut verdicts = Vec::new();
        for (index, check) in exercise.checks.iter().enumerate() {
            let verdict = match check.how {
                How::Look(_) => looks.next(),
                // A program that fails here would only fail there for the same reason.
                How::Alone(_) if failed => None,
                How::Alone(_) => examine(candidate, exercise, &index.to_string())?.pop(),
            };
            let verdict = verdict.filter(|_| !failed);
            failed |= matches!(verdict, Some(Verdict::Fail(_)));
            verdicts.push(verdict);
        }
        graded.push(Graded { exercise, verdicts });
    }
    Ok(graded)
}

/// Has an examiner look, a process of its own, which dies with this one.
fn examine(candidate: &Candidate, exercise: &Exercise, what: &str) -> Result<Vec<Verdict>> {
    // The examiner's own limit, and the time that a busy machine takes to build and end a host.
    const LIMIT: Duration = Duration::from_secs(exam::TIME_LIMIT.as_secs() + 20);
    let rights = if candidate.in_user_namespace { "user" } else { "root" };
    let mut child = Command::new(host_program()?)
        .args([EXAM, exercise.id, what, rights])
        .arg(&candidate.folder)
        .args(&candidate.program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_BACKTRACE")
        .spawn()
        .context("starting the examiner")?;
    let start = Instant::now();
    // What it says always fits into the pipes.
    while child.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill()?;
            bail!("the examiner did not end within {} s", LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim().trim_start_matches("xtask: "));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| Verdict::from_line(line).with_context(|| format!("the examiner said {line:?}"))).collect()
}

/// This program, whoever asks: a test is another one.
fn host_program() -> Result<PathBuf> {
    Ok(workspace::programs()?.join("xtask"))
}

/// The examiner: prints a line for each verdict. `args` are those of [`examine`].
///
/// # Errors
/// When there is no throwaway host to be had, or the examiner itself fails.
pub fn sit(args: &[OsString]) -> Result<ExitCode> {
    let [exercise, what, rights, folder, program @ ..] = args else { bail!("`{EXAM}` is for `check`") };
    let exercise = exercises::find(&exercise.to_string_lossy())?;
    exam::die_with_parent()?;
    let exam = Exam::open(program.to_vec(), Path::new(folder), rights == "user")?;
    let verdicts = match what.to_str() {
        Some("look") => {
            let judges =
                exercise.with_earlier().into_iter().flat_map(|it| it.checks).filter_map(|check| match check.how {
                    How::Look(judge) => Some(judge),
                    How::Alone(_) => None,
                });
            match own_errors_only(look::look(&exam))? {
                Ok(look) => judges.map(|judge| judge(&look).unwrap_or_else(|verdict| verdict)).collect(),
                Err(verdict) => judges.map(|_| verdict.clone()).collect::<Vec<_>>(),
            }
        }
        what => {
            let check = what.and_then(|it| it.parse::<usize>().ok()).and_then(|it| exercise.checks.get(it));
            let Some(How::Alone(check)) = check.map(|it| it.how) else { bail!("`{EXAM}` is for `check`") };
            vec![own_errors_only(check(&exam))?.unwrap_or_else(|verdict| verdict)]
        }
    };
    exam.close();
    let lines: String = verdicts.iter().map(|verdict| verdict.to_line() + "\n").collect();
    io::stdout().write_all(lines.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A fault of the program is a verdict on it; one of ours is not.
fn own_errors_only<T>(result: Result<T, Trouble>) -> Result<Result<T, Verdict>> {
    match result {
        Ok(it) => Ok(Ok(it)),
        Err(Trouble::Fault(failure)) => Ok(Err(failure.into())),
        Err(Trouble::Own(error)) => Err(error),
    }
}
