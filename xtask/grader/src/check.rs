//! `cargo xtask check`: grades a program by what the kernel reports about it.
//! The grader doesn't trust what a program prints. The program starts a command on a throwaway host. While the command waits,
//! the grader asks the kernel about every task of the container and about the host, which it compares with its state before and
//! after the run. So it can grade a program in any language that accepts `PROGRAM run COMMAND [ARG...]` in a directory with a
//! `rootfs/`.
//!
//! ```text
//! grade              starts a sandbox for each set of runs, and collects the verdicts
//! └─ sandbox         the throwaway host, and one run of the program on it
//!    ├─ probe        a command with random words (draw), observed while it waits
//!    ├─ observation  the container while the command waits: its tasks (task), mounts, cgroups
//!    └─ snapshot     the host, and what a run has changed on it
//! rules              judge the evidence of a run; each failure names a diagnosis
//! report             prints what was seen, and what it means
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ColorChoice;
use exercises::{Exercise, Kind};
use lab::privilege::Privilege;
use lab::rootfs::Source;
use lab::{cargo, choice, output, steps, workspace};
use nix::unistd::geteuid;

use crate::catalog;
use crate::text::{Request, visible};
use crate::watch::{clear, end_of_input};
use crate::workshop::{self, Program, Progress};

pub mod diagnosis;
pub(crate) mod directory;
mod draw;
mod evidence;
mod grade;
mod observation;
mod probe;
pub mod report;
mod rules;
mod sandbox;
mod snapshot;
mod stderr;
mod task;
pub mod verdict;

use directory::Directory;
pub(crate) use grade::grade_rest;
pub use grade::{Candidate, Graded, grade, grade_alone, sandbox};
use report::{Report, Subject};
pub use sandbox::WALL_LIMIT;
pub(crate) use sandbox::find_program;
use verdict::Verdict;

/// The hidden first argument of a sandbox's process.
pub const SANDBOX: &str = "--sandbox";

/// The options of `xtask check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every program has its own progress. The program that --cmd names is remembered: a later check, hint, diff or \
                  status without --cmd means that program. `--cmd mine` goes back to the Rust program in workshop/.\n\n\
                  Exit status 0: all checks pass. 1: one fails, or your program doesn't compile. 77: this machine can't \
                  tell. 2: there is nothing to grade. With --json, stdout is one object in every case."
)]
pub struct Options {
    /// Its number or name [default: the one you are at]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
    /// Grade this program, in any language, which must accept `run COMMAND [ARG...]`; `mine` is the one in workshop/ [default:
    /// the one --cmd named last, or else mine]
    #[arg(long = "cmd", value_name = "PROGRAM")]
    pub program: Option<OsString>,
    /// Go on after a failure, and print the verdict of every check; without an exercise, of all exercises
    #[arg(long)]
    pub all: bool,
    /// Leave no trace in the learner's progress
    #[arg(long)]
    pub no_record: bool,
    /// Check again whenever the program changes, until Ctrl-D
    #[arg(long)]
    pub watch: bool,
    /// Print JSON instead of a report
    #[arg(long)]
    pub json: bool,
    /// Draw the same random values as the check that printed this seed
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// When to colour the report: auto (on a terminal), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: ColorChoice,
    /// Make the rootfs from alpine (downloaded, verified and kept), busybox or host (this machine's programs), or from the tarball
    /// or directory of that path [default: what ./rootfs was made from, or else the first of alpine, busybox and host that works]
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
/// The status that test suites use for a skipped test.
const CANNOT_RUN: u8 = 77;

/// Grades, reports, and notes what was passed. The exit status is 0 if all checks pass, 1 if one fails or the learner's
/// program doesn't compile, 77 if this machine can't tell, and 2 if there is nothing to grade or the grader fails.
pub fn run(options: &Options) -> ExitCode {
    let program = match &options.program {
        Some(name) => Program::named(name),
        None => Program::remembered(),
    };
    ExitCode::from(match program {
        Ok(program) if options.watch => watch(options, &program),
        Ok(program) => once(options, &program),
        Err(error) => {
            let program = options.program.as_ref().map(|name| name.to_string_lossy().into_owned());
            let subject = Subject { program, exercise: options.exercise, hints: 0, seed: 0, start: Instant::now() };
            unusable(options.json, &subject, &format!("{error:#}"))
        }
    })
}

/// Reports that there is nothing to grade, or that the grader failed.
pub(crate) fn unusable(json: bool, subject: &Subject, error: &str) -> u8 {
    let errors = [error.to_owned()];
    let written = if json { report::json(subject, &[], &errors).and_then(|it| output::write(&it)) } else { Ok(()) };
    eprintln!("xtask: {}", visible(&output::localized(error)));
    if let Err(error) = written {
        eprintln!("xtask: {error:#}");
    }
    UNUSABLE
}

/// Grades once, and returns the exit status.
fn once(options: &Options, program: &Program) -> u8 {
    let exercise = options.exercise;
    let seed = options.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let mut subject =
        Subject { program: Some(program.plain_label(exercise)), exercise, hints: 0, seed, start: Instant::now() };
    attempt(options, program, &mut subject)
        .unwrap_or_else(|error| unusable(options.json, &subject, &format!("{error:#}")))
}

fn attempt(options: &Options, program: &Program, subject: &mut Subject) -> Result<u8> {
    // An attack is a program of its own, next to the one that the learner works on.
    if options.program.is_some()
        && !options.no_record
        && options.exercise.is_none_or(|it| program.takes(it))
        && let Err(error) = workshop::remember(program)
    {
        eprintln!("xtask: this program will not be remembered: {error:#}");
    }
    if !options.all || options.exercise.is_some() {
        let exercise = workshop::meant(program, options.exercise)?;
        subject.exercise = Some(exercise);
        subject.program = Some(program.plain_label(Some(exercise)));
    }
    let progress = Progress::read(program)?;
    let about = catalog::exercises()?.iter().filter(|it| subject.exercise.is_none_or(|asked| asked.id == it.id));
    subject.hints = about.map(|it| progress.hints(it)).sum();
    let goals = goals(program, subject.exercise)?;
    let Some(programs) = built(program, &goals)? else {
        // The compiler has explained why.
        if options.json {
            output::write(&report::json(subject, &[], &["the program does not compile: see stderr".into()])?)?;
        }
        return Ok(FAILED);
    };
    let directory = Directory::of(options.source.as_ref())?;
    let last = steps::all()?.last().map_or(0, |step| step.number);
    let (mut graded, mut errors) = (Vec::new(), Vec::new());
    match choice::choose(&choice::ways_to_a_host(), options.privilege, last) {
        Err(error) => {
            let no_host = Verdict::CannotRun { why: "no throwaway host".into(), cure: format!("{error:#}") };
            let exercise = subject.exercise.or(goals.first().copied()).context("there are no exercises")?;
            graded.push(Graded { exercise, verdicts: vec![Some(no_host)] });
        }
        Ok(choice) => {
            let paths: Vec<&Path> = programs.values().map(PathBuf::as_path).chain([directory.path.as_path()]).collect();
            let hidden = paths.into_iter().find(|path| options.privilege.is_none() && is_hidden(path));
            if let Some(path) = hidden.filter(|_| choice.privilege == Privilege::User) {
                let path = path.display().to_string();
                eprintln!(
                    "xtask: {} is in a directory of another user's, so root grades without a user namespace",
                    visible(&path)
                );
            }
            let in_user_namespace = choice.privilege == Privilege::User && hidden.is_none();
            let seed = subject.seed;
            for goal in goals {
                let program = vec![programs[goal.program()].clone().into()];
                let directory = directory.path.clone();
                let candidate = Candidate { program, directory, in_user_namespace, seed, hand_in: None };
                let new = if options.all { grade_rest(&candidate, goal, &graded) } else { grade(&candidate, goal) };
                match new {
                    // The verdicts of the other exercises are worth having.
                    Err(error) if options.all => {
                        errors.push(format!("exercise {} ({}): {error:#}", goal.order, goal.id))
                    }
                    new => graded.extend(new?),
                }
            }
        }
    }
    graded.sort_by_key(|it| (it.exercise.track, it.exercise.order));
    let progress = if options.no_record {
        Progress::read(program)?
    } else {
        let failed = graded.iter().find_map(|it| it.failure().map(|failure| (it.exercise, failure.diagnosis.id())));
        let noted = workshop::note(program, &passed(&graded)?, failed, subject.exercise);
        noted.or_else(|error| {
            eprintln!("xtask: what passed was not noted: {error:#}");
            Progress::read(program)
        })?
    };
    output::write(&match options.json {
        true => report::json(subject, &graded, &errors)?,
        false => report::text(&Report { options, program, subject, graded: &graded, progress: &progress })?,
    })?;
    errors.iter().for_each(|error| eprintln!("xtask: {}", visible(error)));
    Ok(if errors.is_empty() { outcome(&graded) } else { UNUSABLE })
}

/// True if root can reach a path only by overriding permissions, which it can't do in a user namespace. The path may be below
/// another user's home, for example.
fn is_hidden(path: &Path) -> bool {
    let is_closed = |it: &Path| it.metadata().is_ok_and(|it| it.is_dir() && it.uid() != 0 && it.mode() & 0o001 == 0);
    geteuid().is_root() && path.ancestors().any(is_closed)
}

/// Returns the exercises to grade by: the named one, or all that ask for such a program. Of those, the last step comes first,
/// because it includes the others.
fn goals(program: &Program, named: Option<&'static Exercise>) -> Result<Vec<&'static Exercise>> {
    if let Some(exercise) = named {
        return Ok(vec![exercise]);
    }
    let all = || catalog::exercises().map(|all| all.iter().filter(|it| program.takes(it)));
    Ok(all()?.rfind(|it| it.is_step()).into_iter().chain(all()?).collect())
}

/// Returns the program of each kind that the exercises ask for, or `None` if one doesn't compile.
fn built(program: &Program, exercises: &[&Exercise]) -> Result<Option<BTreeMap<&'static str, PathBuf>>> {
    let mut programs = BTreeMap::new();
    for exercise in exercises {
        if !programs.contains_key(exercise.program()) {
            let path = match program {
                Program::Mine => workshop::build(exercise)?,
                Program::Other(path) => workshop::compile(path, exercise.kind)?,
            };
            let Some(path) = path else { return Ok(None) };
            if exercise.kind == Kind::Attack {
                // The steps that the attack must get out of.
                cargo::steps_and(&[])?;
            }
            programs.insert(exercise.program(), path);
        }
    }
    Ok(Some(programs))
}

/// Returns the exercises whose checks all pass, including those of the exercises that they build on.
fn passed(graded: &[Graded]) -> Result<Vec<&'static Exercise>> {
    let all = catalog::exercises()?;
    let is_green = |id: &str| graded.iter().any(|it| it.exercise.id == id && it.is_green());
    let passed = graded.iter().map(|it| it.exercise);
    Ok(passed.filter(|it| it.with_earlier(all).iter().all(|it| is_green(&it.id))).collect())
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

fn watch(options: &Options, program: &Program) -> u8 {
    const INTERVAL: Duration = Duration::from_millis(200);
    let ended = end_of_input();
    let source = match program {
        Program::Mine => workspace::workshop().join("src"),
        Program::Other(path) => path.clone(),
    };
    loop {
        let seen = workshop::fingerprint(&source);
        if !options.json {
            // If stdout is closed, the report says so.
            let _ = clear();
        }
        let outcome = once(options, program);
        if outcome == UNUSABLE {
            return outcome;
        }
        if !options.json {
            eprintln!("watching; press Ctrl-D to stop");
        }
        while workshop::fingerprint(&source) == seen {
            if ended.load(Ordering::Relaxed) {
                return outcome;
            }
            thread::sleep(INTERVAL);
        }
    }
}
