//! `cargo xtask check`: grades a program by what the kernel reports about it.
//!
//! What a program prints isn't believed. It starts a command on a throwaway host, and while the command waits, its /proc/PID
//! is read from outside, and so is the host, before and after. So a program in any language can be graded, if it follows
//! `PROGRAM run COMMAND [ARG...]` in a directory with a `rootfs/`; and a failure has the name of a misconception.
//!
//! `sandbox` runs the program, `probe` and `observation` collect evidence, and `rules` judge it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use exercises::{Exercise, Kind};
use lab::privilege::Privilege;
use lab::rootfs::Source;
use lab::{cargo, choice, output, steps, workspace};
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use crate::catalog;
use crate::text::{Color, Request, visible};
use crate::workshop::{self, Program, Progress};

pub mod diagnosis;
mod directory;
mod draw;
mod evidence;
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
use report::{Report, Subject};
use rules::Rule;
pub use sandbox::TIME_LIMIT;
use sandbox::{Sandbox, WALL_LIMIT, cgroups};
use verdict::{Checked, Error, Failure, Verdict};

/// The hidden first argument of a sandbox's process.
pub const SANDBOX: &str = "--sandbox";

/// What `xtask check` was asked for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every program has its own progress. The program that --cmd names is remembered: a later check, hint, diff or \
                  status without --cmd means that program. `--cmd mine` goes back to the Rust program in workshop/.\n\n\
                  Status 0: all pass. 1: one fails, or yours does not compile. 77: this machine can't tell. 2: nothing to \
                  grade. With --json, stdout is one object in every case."
)]
pub struct Options {
    /// Its number or name [default: the one that you are at]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
    /// Grade this program, in any language, which must take `run COMMAND [ARG...]`; `mine` is the one in workshop/ [default: the
    /// one that --cmd named last, or else mine]
    #[arg(long = "cmd", value_name = "PROGRAM")]
    pub program: Option<OsString>,
    /// Go on after a failure, and print the verdict of every check; without an exercise, of all exercises
    #[arg(long)]
    pub all: bool,
    /// Check again whenever it changes, until Ctrl-D
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
    pub color: Color,
    /// Make its rootfs from alpine (downloaded, verified and kept), busybox or host (this machine's programs), or from the tarball
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
/// What test suites use for a test that was skipped.
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
    let written = if json { output::write(&report::json_of_error(subject, error)) } else { Ok(()) };
    eprintln!("xtask: {}", visible(error));
    if let Err(error) = written {
        eprintln!("xtask: {error:#}");
    }
    UNUSABLE
}

/// Grades once, and returns the exit status.
fn once(options: &Options, program: &Program) -> u8 {
    let exercise = options.exercise;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut subject =
        Subject { program: Some(program.plain_label(exercise)), exercise, hints: 0, seed, start: Instant::now() };
    attempt(options, program, &mut subject)
        .unwrap_or_else(|error| unusable(options.json, &subject, &format!("{error:#}")))
}

fn attempt(options: &Options, program: &Program, subject: &mut Subject) -> Result<u8> {
    // An attack is a program of its own, next to the one that the learner works on.
    if options.program.is_some()
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
    subject.hints = Progress::read(program)?.hints_of(subject.exercise)?;
    let goals = goals(program, subject.exercise)?;
    let Some(programs) = built(program, &goals)? else {
        // The compiler has explained why.
        if options.json {
            output::write(&report::json_of_error(subject, "the program does not compile: see stderr"))?;
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
            let (in_user_namespace, seed) = (choice.privilege == Privilege::User, subject.seed);
            for goal in goals {
                let program = vec![programs[goal.program()].clone().into()];
                let candidate = Candidate { program, directory: directory.path.clone(), in_user_namespace, seed };
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
    let noted = workshop::note(program, &passed(&graded)?, subject.exercise);
    let progress = noted.or_else(|error| {
        eprintln!("xtask: what passed was not noted: {error:#}");
        Progress::read(program)
    })?;
    output::write(&match options.json {
        true => report::json(subject, &graded, &errors)?,
        false => report::text(&Report {
            program,
            exercise: subject.exercise,
            graded: &graded,
            progress: &progress,
            seed: subject.seed,
            all: options.all,
            colored: options.color.is_on(),
        })?,
    })?;
    errors.iter().for_each(|error| eprintln!("xtask: {}", visible(error)));
    Ok(if errors.is_empty() { outcome(&graded) } else { UNUSABLE })
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
                Program::Other(path) => Some(path.clone()),
            };
            let Some(path) = path else { return Ok(None) };
            if exercise.kind == Kind::Attack {
                // What it is to get out of.
                cargo::steps_and(&[])?;
            }
            programs.insert(exercise.program(), path);
        }
    }
    Ok(Some(programs))
}

/// Returns the exercises all of whose checks pass, and those of the exercises that they include.
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
    let ended = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        at_end.store(true, Ordering::Relaxed);
    });
    let source = match program {
        Program::Mine => workspace::workshop().join("src"),
        Program::Other(path) => path.clone(),
    };
    loop {
        let seen = workshop::fingerprint(&source);
        if io::stdout().is_terminal() && !options.json {
            // Clear, and go to the top. If stdout is closed, the report says so.
            let _ = output::write("\x1b[2J\x1b[H");
        }
        let outcome = once(options, program);
        if outcome == UNUSABLE {
            return outcome;
        }
        if !options.json {
            eprintln!("watching; Ctrl-D ends it");
        }
        while workshop::fingerprint(&source) == seen {
            if ended.load(Ordering::Relaxed) {
                return outcome;
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
    /// What all random values are drawn from.
    pub seed: u64,
}

impl Candidate {
    /// Returns a candidate with a seed of its own.
    pub fn new(program: Vec<OsString>, directory: PathBuf, in_user_namespace: bool) -> Candidate {
        Candidate { program, directory, in_user_namespace, seed: fastrand::u64(..) }
    }
}

/// An exercise and the verdict of each check; `None` if that wasn't asked for, because an earlier one failed.
#[derive(Debug)]
pub struct Graded {
    /// The exercise.
    pub exercise: &'static Exercise,
    /// The verdicts, in the order of its checks.
    pub verdicts: Vec<Option<Verdict>>,
}

impl Graded {
    /// True if all of its checks pass.
    fn is_green(&self) -> bool {
        let is_pass = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Pass));
        self.verdicts.len() == self.exercise.checks.len() && self.verdicts.iter().all(is_pass)
    }

    /// Returns the first failure.
    fn failure(&self) -> Option<&Failure> {
        self.verdicts.iter().flatten().find_map(|verdict| match verdict {
            Verdict::Fail(failure) => Some(failure),
            _ => None,
        })
    }
}

/// Grades a program by an exercise and those that it builds on, and stops at the first that it fails.
///
/// # Errors
/// When the grader fails, which is no verdict on the program.
pub fn grade(candidate: &Candidate, exercise: &'static Exercise) -> Result<Vec<Graded>> {
    grade_each(candidate, exercise, false, &[])
}

/// Grades in the same way, but goes on after a failure, and leaves out what was graded before.
fn grade_rest(candidate: &Candidate, exercise: &'static Exercise, before: &[Graded]) -> Result<Vec<Graded>> {
    grade_each(candidate, exercise, true, before)
}

fn grade_each(
    candidate: &Candidate,
    exercise: &'static Exercise,
    goes_on: bool,
    before: &[Graded],
) -> Result<Vec<Graded>> {
    let exercises = exercise.with_earlier(catalog::exercises()?);
    let is_new = |exercise: &Exercise| before.iter().all(|it| it.exercise.id != exercise.id);
    let new: Vec<_> = exercises.iter().copied().filter(|it| is_new(it)).collect();
    let has_shared = !rules::shared(&new)?.is_empty();
    let shared = if has_shared { start_sandbox(candidate, exercise, ALL_SHARED)? } else { Vec::new() };
    let mut shared = shared.into_iter();
    let mut failed = false;
    let mut graded = Vec::new();
    for earlier in exercises {
        let mut verdicts = Vec::new();
        for check in &earlier.checks {
            let verdict = match rules::find(&check.rule)? {
                Rule::Probe(_) | Rule::Container(_) => shared.next(),
                // A program that fails here would only fail there for the same reason.
                Rule::Own(_) if failed && !goes_on || !is_new(earlier) => None,
                Rule::Own(_) => start_sandbox(candidate, exercise, &check.rule)?.pop(),
            };
            let verdict = verdict.filter(|_| !failed || goes_on);
            failed |= matches!(verdict, Some(Verdict::Fail(_)));
            verdicts.push(verdict);
        }
        graded.push(Graded { exercise: earlier, verdicts });
    }
    graded.retain(|it| is_new(it.exercise));
    Ok(graded)
}

/// Asks a sandbox for all rules that share one run.
const ALL_SHARED: &str = "shared";

/// Starts a sandbox, a process of its own, and returns its verdicts.
fn start_sandbox(candidate: &Candidate, exercise: &Exercise, rule: &str) -> Result<Vec<Verdict>> {
    // Each rule has another seed, so that its values don't depend on the rules before it.
    let mut hasher = DefaultHasher::new();
    (candidate.seed, rule).hash(&mut hasher);
    // This process may be a test's.
    let sandbox = Command::new(workspace::programs()?.join("grader"))
        .args([SANDBOX, &exercise.id, rule, if candidate.in_user_namespace { "user" } else { "root" }])
        .arg(hasher.finish().to_string())
        .arg(&candidate.directory)
        .args(&candidate.program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_BACKTRACE")
        .spawn()
        .context("starting a sandbox")?;
    let pid = sandbox.id();
    let output = sandbox.wait_with_output().context("waiting for a sandbox")?;
    // Here, because it can't remove the cgroups that it is in, and moving out would take longer than all the rest.
    cgroups::remove_those_of(pid);
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
    let [exercise, rule, rights, seed, directory, program @ ..] = args else { bail!("`{SANDBOX}` is for `check`") };
    let exercise = catalog::exercise(&exercise.to_string_lossy())?;
    lab::process::die_with_parent()?;
    // The sandbox's own limit, and the time that a busy machine takes to build and end a host.
    alarm::set(WALL_LIMIT.as_secs() as u32 + 30);
    let seed = seed.to_string_lossy().parse().context("the seed")?;
    let mut sandbox = Sandbox::open(program.to_vec(), Path::new(directory), rights == "user", seed)?;
    let can_run = rules::machine_has_what_it_needs(&exercise.id, &sandbox);
    let shared = rules::shared(&exercise.with_earlier(catalog::exercises()?))?;
    let verdicts = if rule == ALL_SHARED {
        match can_run.and_then(|()| probe::observe(&sandbox)) {
            // Of several runs the first that fails counts.
            Ok(runs) => shared
                .iter()
                .filter_map(|rule| rule.shared())
                .map(|rule| verdict(runs.iter().try_for_each(rule)))
                .collect::<Result<_>>()?,
            Err(error) => vec![verdict(Err(error))?; shared.len()],
        }
    } else {
        let Rule::Own(rule) = rules::find(&rule.to_string_lossy())? else { bail!("`{SANDBOX}` is for `check`") };
        sandbox.standing = shared;
        vec![verdict(can_run.and_then(|()| rule(&sandbox)).and_then(|()| sandbox.broken_rule()))?]
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
