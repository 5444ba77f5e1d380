//! Grades a program: starts a sandbox for the runs that rules share and one for each rule with runs of its own, some at a time.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;
use lab::{choice, workspace};
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use super::rules::{self, Rule};
use super::sandbox::{Sandbox, WALL_LIMIT, cgroups};
use super::verdict::{Checked, Error, Failure, Verdict};
use super::{SANDBOX, probe};
use crate::{catalog, jail};

/// A program to be graded, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The program, and arguments that come before `run`.
    pub program: Vec<OsString>,
    /// Where it starts: a directory with a `rootfs/`.
    pub directory: PathBuf,
    /// True for a throwaway host in a user namespace, false for one of root's own.
    pub in_user_namespace: bool,
    /// The seed of all random values.
    pub seed: u64,
    /// The directory of a handed-in program, which is then `/hand-in` and runs in a jail.
    pub hand_in: Option<PathBuf>,
}

impl Candidate {
    /// Returns a candidate with a seed of its own.
    pub fn new(program: Vec<OsString>, directory: PathBuf, in_user_namespace: bool) -> Candidate {
        Candidate { program, directory, in_user_namespace, seed: fastrand::u64(..), hand_in: None }
    }
}

/// An exercise and the verdict of each check; `None` if it wasn't checked, because an earlier check failed.
#[derive(Debug)]
pub struct Graded {
    /// The exercise.
    pub exercise: &'static Exercise,
    /// The verdicts, in the order of its checks.
    pub verdicts: Vec<Option<Verdict>>,
}

impl Graded {
    /// True if all of its checks pass.
    pub(crate) fn is_green(&self) -> bool {
        let is_pass = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Pass));
        self.verdicts.len() == self.exercise.checks.len() && self.verdicts.iter().all(is_pass)
    }

    /// Returns the first failure.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.verdicts.iter().flatten().find_map(|verdict| match verdict {
            Verdict::Fail(failure) => Some(failure),
            _ => None,
        })
    }
}

/// Grades a program by an exercise and those that it builds on, and stops at the first that it fails.
///
/// # Errors
/// When the grader fails, which is not a verdict on the program.
pub fn grade(candidate: &Candidate, exercise: &'static Exercise) -> Result<Vec<Graded>> {
    grade_each(candidate, exercise, false, &[])
}

/// Grades a program by an exercise only, not by those that it builds on.
///
/// # Errors
/// As [`grade`].
pub fn grade_alone(candidate: &Candidate, exercise: &'static Exercise) -> Result<Graded> {
    let earlier = exercise.with_earlier(catalog::exercises()?).into_iter().filter(|it| it.id != exercise.id);
    let before: Vec<_> = earlier.map(|exercise| Graded { exercise, verdicts: Vec::new() }).collect();
    grade_each(candidate, exercise, false, &before)?.pop().context("an exercise has a verdict")
}

/// Grades in the same way, but goes on after a failure, and leaves out what was graded before.
pub(crate) fn grade_rest(candidate: &Candidate, exercise: &'static Exercise, before: &[Graded]) -> Result<Vec<Graded>> {
    grade_each(candidate, exercise, true, before)
}

fn grade_each(
    candidate: &Candidate,
    exercise: &'static Exercise,
    goes_on: bool,
    before: &[Graded],
) -> Result<Vec<Graded>> {
    cgroups::remove_stale();
    let is_new = |exercise: &Exercise| before.iter().all(|it| it.exercise.id != exercise.id);
    // A sandbox judges by the shared rules of all of them, in this order.
    let exercises = exercise.with_earlier(catalog::exercises()?);
    let new: Vec<_> = exercises.iter().copied().filter(|it| is_new(it)).collect();
    let mut has_shared = !rules::shared(&new)?.is_empty();
    let mut shared = Vec::new().into_iter();
    let mut failed = false;
    let mut graded = Vec::new();
    for earlier in exercises {
        // After a failure, later exercises would only fail for the same reason.
        let own = if is_new(earlier) && (!failed || goes_on) { own_rules(earlier)? } else { Vec::new() };
        let rules: Vec<&str> = has_shared.then_some(ALL_SHARED).into_iter().chain(own.iter().copied()).collect();
        let mut verdicts = start_sandboxes(candidate, exercise, &rules)?.into_iter();
        if std::mem::take(&mut has_shared) {
            shared = verdicts.next().unwrap_or_default().into_iter();
        }
        let mut own: Vec<_> = own.into_iter().zip(verdicts).collect();
        let mut verdicts = Vec::new();
        for check in &earlier.checks {
            let verdict = match rules::find(&check.rule)?.shared() {
                Some(_) => shared.next(),
                None => own.iter_mut().find(|(rule, _)| *rule == check.rule).and_then(|(_, verdicts)| verdicts.pop()),
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

/// Returns the names of the rules of an exercise that have runs of their own.
fn own_rules(exercise: &Exercise) -> Result<Vec<&str>> {
    let names = exercise.checks.iter().map(|check| check.rule.as_str());
    names.filter_map(|name| rules::find(name).map(|rule| rule.shared().is_none().then_some(name)).transpose()).collect()
}

/// Starts a sandbox for each rule, a few at a time, and returns the verdicts of each.
fn start_sandboxes(candidate: &Candidate, exercise: &Exercise, rules: &[&str]) -> Result<Vec<Vec<Verdict>>> {
    // A check mostly waits.
    let at_a_time = 2 * thread::available_parallelism().map_or(1, usize::from);
    let mut all = Vec::new();
    for some in rules.chunks(at_a_time) {
        let verdicts: Result<Vec<_>> = thread::scope(|scope| {
            let started: Vec<_> =
                some.iter().map(|rule| scope.spawn(move || start_sandbox(candidate, exercise, rule))).collect();
            started.into_iter().map(|it| it.join().unwrap_or_else(|_| bail!("a sandbox's thread panicked"))).collect()
        });
        all.extend(verdicts?);
    }
    Ok(all)
}

/// Asks a sandbox for all rules that share one run.
const ALL_SHARED: &str = "shared";

/// Starts a sandbox, a process of its own, and returns its verdicts.
fn start_sandbox(candidate: &Candidate, exercise: &Exercise, rule: &str) -> Result<Vec<Verdict>> {
    // Each rule has a different seed, so that its values don't depend on the rules before it.
    let mut hasher = DefaultHasher::new();
    (candidate.seed, rule).hash(&mut hasher);
    // This process may be a test's.
    let grader = workspace::programs()?.join("grader");
    let mut command = match &candidate.hand_in {
        None => Command::new(&grader),
        Some(hand_in) => {
            let needs = [jail::needs()?, vec![candidate.directory.clone()]].concat();
            let mut command = jail::command(hand_in, false, &needs)?;
            command.arg(&grader);
            command
        }
    };
    let sandbox = command
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
    // The sandbox can't remove the cgroups that it is in, and moving out would take longer than everything else.
    cgroups::remove_those_of(pid);
    let alarm = Signal::SIGALRM as i32;
    let is_late = output.status.signal() == Some(alarm) || output.status.code() == Some(128 + alarm);
    ensure!(!is_late, "the sandbox did not end in time");
    ensure!(output.status.code() != Some(jail::OUT_OF_MEMORY), "it used up the machine's memory, and was stopped");
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
    let wants_root = || rules::find(&rule.to_string_lossy()).is_ok_and(|it| matches!(it, Rule::AsRoot(_)));
    let in_user_namespace = rights == "user" && !(wants_root() && choice::can_be_root());
    let mut sandbox = Sandbox::open(program.to_vec(), Path::new(directory), in_user_namespace, seed)?;
    let can_run = rules::machine_has_what_it_needs(&exercise.id, &sandbox);
    let shared = rules::shared(&exercise.with_earlier(catalog::exercises()?))?;
    let verdicts = if rule == ALL_SHARED {
        match can_run.and_then(|()| probe::observe(&sandbox)) {
            // The first run that fails counts.
            Ok(runs) => shared
                .iter()
                .filter_map(|rule| rule.shared())
                .map(|rule| verdict(runs.iter().try_for_each(rule)))
                .collect::<Result<_>>()?,
            Err(error) => vec![verdict(Err(error))?; shared.len()],
        }
    } else {
        let (Rule::Own(rule) | Rule::AsRoot(rule)) = rules::find(&rule.to_string_lossy())? else {
            bail!("`{SANDBOX}` is for `check`")
        };
        sandbox.standing = shared;
        vec![verdict(can_run.and_then(|()| rule(&sandbox)).and_then(|()| sandbox.broken.take().map_or(Ok(()), Err)))?]
    };
    sandbox.close();
    serde_json::to_writer(io::stdout(), &verdicts)?;
    Ok(ExitCode::SUCCESS)
}

/// Turns a fault of the program into a verdict, and passes on a failure of the grader.
fn verdict(checked: Checked) -> Result<Verdict> {
    match checked {
        Ok(()) => Ok(Verdict::Pass),
        Err(Error::Verdict(verdict)) => Ok(verdict),
        Err(Error::Internal(error)) => Err(error),
    }
}
