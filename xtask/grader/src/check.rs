//! `cargo xtask check`: grades a program by what the kernel says of it.
//!
//! What a program prints is not believed. It is started on a throwaway host with a command, and looked at from outside
//! while that waits: in /proc/PID of the command, and on the host, before and after. So a program in any language can be
//! graded, if it follows `PROGRAM run COMMAND [ARG...]` in a folder with a `rootfs/`; and a failure has the name of a
//! misconception. The rooms: `exam` is the host and the program on it, `proc` the kernel's word, `look` and `behaviour`
//! what is judged, `diagnosis` the misconceptions, `verdict` an outcome.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;

use crate::privilege::{self, Privilege};
use crate::rootfs::Source;
use crate::text::{Color, Request};
use crate::{catalog, stdout, steps, workshop, workspace};

pub mod behaviour;
pub mod diagnosis;
pub mod exam;
pub mod look;
pub mod report;
pub mod room;
pub mod rules;
pub mod said;
pub mod verdict;

use exam::{Exam, Trouble};
use room::Room;
use rules::Rule;
use verdict::Verdict;

/// The hidden first argument of the examiner.
pub const EXAM: &str = "--exam";

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

/// The exit status of `check`, by what it came to.
const PASSED: u8 = 0;
const FAILED: u8 = 1;
/// Also when there is nothing to grade.
const UNUSABLE: u8 = 2;
/// What test suites use for a test that was skipped.
const CANNOT_RUN: u8 = 77;

/// Grades, reports, and notes what was passed. The exit status is 0 if all checks pass, 1 if one fails or the learner's
/// program does not compile, 77 if this machine can't tell, and 2 if there is nothing to grade or the examiner fails.
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
            // The compiler said why.
            None => return Ok(FAILED),
        },
    };
    let room = Room::of(options.source.as_ref())?;
    let last = steps::all()?.last().map_or(0, |step| step.number);
    let graded = match privilege::choose(&privilege::ways_to_a_host(), options.privilege, last) {
        Err(error) => vec![Graded { exercise, verdicts: vec![Some(no_host(&error))] }],
        Ok(choice) => {
            let in_user_namespace = choice.privilege == Privilege::User;
            grade(&Candidate { program, folder: room.folder().to_owned(), in_user_namespace }, exercise)?
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
    stdout::write(&text)?;
    Ok(outcome)
}

/// What all the verdicts come to, as an exit status.
fn outcome(graded: &[Graded]) -> u8 {
    let any = |is: fn(&Verdict) -> bool| graded.iter().flat_map(|it| it.verdicts.iter().flatten()).any(is);
    match () {
        () if any(|verdict| matches!(verdict, Verdict::Fail(_))) => FAILED,
        () if any(|verdict| matches!(verdict, Verdict::CannotRun { .. })) => CANNOT_RUN,
        () => PASSED,
    }
}

/// The verdict where no throwaway host can be made.
fn no_host(error: &anyhow::Error) -> Verdict {
    Verdict::CannotRun { why: "no throwaway host".into(), cure: format!("{error:#}") }
}

/// As the shell found it, for the program will start in another folder. A mere name is looked for on the PATH there.
fn absolute(program: &OsString) -> Result<OsString> {
    let path = Path::new(program);
    if path.components().count() == 1 && !path.exists() {
        return Ok(program.clone());
    }
    Ok(std::path::absolute(path).with_context(|| format!("finding {}", path.display()))?.into())
}

/// Between two looks at the files of a program that is being written.
const WATCHING: Duration = Duration::from_millis(200);

fn watch(options: &Options) -> Result<u8> {
    let ended = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        at_end.store(true, Ordering::Relaxed);
    });
    let files = || match &options.program {
        Some(program) => workshop::fingerprint(Path::new(program)),
        None => workshop::fingerprint(&workspace::workshop().join("src")),
    };
    loop {
        let seen = files();
        if io::stdout().is_terminal() && !options.json {
            // Clear, and go to the top.
            stdout::write("\x1b[2J\x1b[H")?;
        }
        let outcome = once(options)?;
        if !options.json {
            eprintln!("watching; Ctrl-D ends it");
        }
        while files() == seen {
            if ended.load(Ordering::Relaxed) {
                return Ok(outcome);
            }
            thread::sleep(WATCHING);
        }
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

/// Grades a program by an exercise and those that it builds on, and stops at the first that it fails.
///
/// # Errors
/// When the examiner fails, which is no verdict on the program.
pub fn grade(candidate: &Candidate, exercise: &'static Exercise) -> Result<Vec<Graded>> {
    let exercises = exercise.with_earlier(catalog::exercises()?);
    let looks =
        if !rules::on_look(&exercises)?.is_empty() { examine(candidate, exercise, "look")? } else { Vec::new() };
    let mut looks = looks.into_iter();
    let mut graded = Vec::new();
    let mut failed = false;
    for exercise in exercises {
        let mut verdicts = Vec::new();
        for (index, check) in exercise.checks.iter().enumerate() {
            let verdict = match rules::find(&check.rule)? {
                Rule::Look(_) => looks.next(),
                // A program that fails here would only fail there for the same reason.
                Rule::Alone(_) if failed => None,
                Rule::Alone(_) => examine(candidate, exercise, &index.to_string())?.pop(),
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
    const LIMIT: Duration = Duration::from_secs(exam::WALL_LIMIT.as_secs() + 30);
    let rights = if candidate.in_user_namespace { "user" } else { "root" };
    let mut child = Command::new(host_program()?)
        .args([EXAM, &exercise.id, what, rights])
        .arg(&candidate.folder)
        .args(&candidate.program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_BACKTRACE")
        .spawn()
        .context("starting the examiner")?;
    let mut stdout = child.stdout.take().context("a pipe")?;
    let reader = thread::spawn(move || io::read_to_string(&mut stdout));
    let start = Instant::now();
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
    let text = reader.join().expect("it does not panic").context("reading from the examiner")?;
    text.lines().map(|line| Verdict::from_line(line).with_context(|| format!("the examiner said {line:?}"))).collect()
}

/// This program, whoever asks: a test is another one.
fn host_program() -> Result<PathBuf> {
    Ok(workspace::programs()?.join("grader"))
}

/// The examiner: prints a line for each verdict. `args` are those that [`grade`] starts it with.
///
/// # Errors
/// When there is no throwaway host to be had, or the examiner itself fails.
pub fn sit(args: &[OsString]) -> Result<ExitCode> {
    let [exercise, what, rights, folder, program @ ..] = args else { bail!("`{EXAM}` is for `check`") };
    let exercise = catalog::exercise(&exercise.to_string_lossy())?;
    lab::process::die_with_parent()?;
    let exam = Exam::open(program.to_vec(), Path::new(folder), rights == "user")?;
    let verdicts = match what.to_str() {
        Some("look") => {
            let judges = rules::on_look(&exercise.with_earlier(catalog::exercises()?))?;
            match own_errors_only(look::look(&exam))? {
                Ok(look) => judges.into_iter().map(|judge| judge(&look).unwrap_or_else(|verdict| verdict)).collect(),
                Err(verdict) => vec![verdict; judges.len()],
            }
        }
        what => {
            let check = what.and_then(|it| it.parse::<usize>().ok()).and_then(|it| exercise.checks.get(it));
            let rule = check.map(|it| rules::find(&it.rule)).transpose()?;
            let Some(Rule::Alone(check)) = rule else { bail!("`{EXAM}` is for `check`") };
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
