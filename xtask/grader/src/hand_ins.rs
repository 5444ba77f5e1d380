//! `cargo xtask grade`: grades handed-in programs, some at a time, each in a jail.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Error, Result, bail, ensure};
use exercises::{Exercise, Kind, Language};
use lab::rootfs::Source;
use serde::Serialize;
use serde_json::json;

use crate::check::directory::Directory;
use crate::check::{Candidate, Graded, grade_rest};
use crate::table::Format;
use crate::text::visible;
use crate::{catalog, jail};

/// The options of `xtask grade`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A hand-in is a program, a source in Python, Go, C or shell, or a directory with one of these, called `mine` if \
                        there are several. A directory without such a `mine` stands for all hand-ins in it. Each program runs without access to your \
                        files and to other hand-ins, with an empty home, and with limits on memory and disk, also if you are root. \
                        Exit status 0: all were graded, whatever the result. 2: a path doesn't exist, or nothing was handed in."
)]
pub struct Options {
    /// The hand-ins, or directories of hand-ins
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Grade by this exercise and those that it builds on, its number or name
    #[arg(long, default_value = "proc", value_parser = catalog::exercise)]
    pub exercise: &'static Exercise,
    /// Grade so many at a time [default: as many as there are CPUs]
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    #[command(flatten)]
    pub format: Format,
    /// The source of the rootfs, as for `check`
    #[arg(long)]
    pub source: Option<Source>,
}

/// The columns of the table and of the CSV.
const COLUMNS: [&str; 6] = ["hand-in", "program", "passed", "failed", "diagnosis", "seconds"];

/// A hand-in, and what came of it.
#[derive(Debug, Default, Serialize)]
struct Row {
    #[serde(rename = "hand-in")]
    name: String,
    program: Option<String>,
    /// Why there is no verdict.
    error: Option<String>,
    passed: Vec<&'static str>,
    /// How many exercises it was graded by.
    #[serde(skip)]
    count: usize,
    /// The first exercise that it failed, why, and what was seen.
    failed: Option<&'static str>,
    diagnosis: Option<String>,
    seen: Option<String>,
    seconds: f64,
}

/// A directory for copies, which vanishes.
struct Staging(PathBuf);

impl Staging {
    /// Makes one, and removes those of processes that were killed. Not in /tmp, where a machine may let no one execute a file.
    fn new() -> Result<Staging> {
        let all = lab::cargo::target_directory()?.join("grade");
        fs::create_dir_all(&all).with_context(|| format!("making {}", all.display()))?;
        for old in fs::read_dir(&all)?.flatten().filter(|it| !Path::new("/proc").join(it.file_name()).exists()) {
            let _ = fs::remove_dir_all(old.path());
        }
        let own = all.join(std::process::id().to_string());
        let _ = fs::remove_dir_all(&own);
        DirBuilder::new().mode(0o700).create(&own).with_context(|| format!("making {}", own.display()))?;
        Ok(Staging(own))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Grades all hand-ins, and prints a table.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let complain = |error: &Error| eprintln!("xtask: {}", visible(&format!("{error:#}")));
    let Ok(hand_ins) = find(&options.paths).inspect_err(complain) else { return Ok(ExitCode::from(2)) };
    let staging = Staging::new()?;
    let room = room(options.source.as_ref(), &staging.0)?;
    // Copied before a thread starts a process, which would have a copy that is open for writing open, too, and the kernel doesn't
    // execute such a file (ETXTBSY, execve(2)).
    let copies: Vec<_> =
        hand_ins.iter().zip(0..).map(|(path, number)| copy(path, staging.0.join(format!("{number}")))).collect();
    let (queue, rows) = (Mutex::new(hand_ins.iter().zip(copies)), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(|error| error.into_inner()).next();
    let jobs = options.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((path, copy)) = next() {
                    let row = row(path, copy, options.exercise, &room);
                    rows.lock().unwrap_or_else(|error| error.into_inner()).push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(|error| error.into_inner());
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let json = json!({ "exercise": options.exercise.id, "hand-ins": rows });
    options.format.print(COLUMNS, rows.iter().map(Row::cells), "", &json)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the hand-ins: each path, or what is in it if it is a directory of hand-ins.
fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        ensure!(path.symlink_metadata().is_ok(), "there is no {}", path.display());
        if path.is_file()
            || program_in(path).is_ok_and(|program| Path::new(&program).file_stem() == Some("mine".as_ref()))
        {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        below.retain(|it| !it.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
        below.sort();
        ensure!(!below.is_empty(), "nothing was handed in in {}", path.display());
        found.append(&mut below);
    }
    Ok(found)
}

/// Returns the name of the program in a directory: `mine`, or the only one.
fn program_in(directory: &Path) -> Result<String> {
    let is_program = |path: &Path| {
        let Ok(metadata) = path.symlink_metadata() else { return false };
        let is_executable = metadata.permissions().mode() & 0o111 != 0;
        let is_known = Language::of(path).is_some_and(|it| it != Language::Rust);
        metadata.is_file() && (is_executable || is_known)
    };
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?.flatten();
    let mut programs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_program(path)).collect();
    // A source comes before what was compiled from it.
    programs
        .sort_by_key(|path| (path.file_stem().is_none_or(|it| it != "mine"), path.extension().is_none(), path.clone()));
    let is_mine = |path: &PathBuf| path.file_stem().is_some_and(|it| it == "mine");
    match programs.as_slice() {
        [] => bail!("there is no program in Python, Go, C or shell, and no executable file"),
        [first, rest @ ..] if rest.is_empty() || is_mine(first) => {
            Ok(first.file_name().unwrap_or_default().to_string_lossy().into_owned())
        }
        _ => bail!("there are several programs, and none is called `mine`"),
    }
}

/// Makes a copy of the directory that programs are checked in, which everyone can read: what root has made there may be for root.
fn room(source: Option<&Source>, staging: &Path) -> Result<PathBuf> {
    let directory = Directory::of(source)?;
    let room = staging.join("room");
    fs::create_dir(&room)?;
    for words in [
        vec!["cp".as_ref(), "-a".as_ref(), directory.path.join("rootfs").as_os_str(), room.as_os_str()],
        vec!["chmod".as_ref(), "-R".as_ref(), "u+w,a+rX".as_ref(), room.as_os_str()],
    ] {
        let status = Command::new(words[0]).args(&words[1..]).status().context("copying the rootfs")?;
        ensure!(status.success(), "copying the rootfs: {status}");
    }
    Ok(room)
}

fn row(path: &Path, copy: Result<(PathBuf, String)>, exercise: &'static Exercise, room: &Path) -> Row {
    let start = Instant::now();
    let mut row = match copy.and_then(|(copy, program)| Ok((graded(copy, &program, exercise, room)?, program))) {
        Ok((graded, program)) => Row::new(program, &graded),
        Err(error) => Row { error: Some(format!("{error:#}")), ..Row::default() },
    };
    row.name = file_name(path);
    row.seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    row
}

impl Row {
    fn new(program: String, graded: &[Graded]) -> Row {
        let failed = graded.iter().find(|it| !it.is_green());
        let failure = failed.and_then(Graded::failure);
        let why = failure.map_or_else(|| "cannot run here".to_owned(), |it| it.diagnosis.id());
        Row {
            program: Some(program),
            passed: graded.iter().filter(|it| it.is_green()).map(|it| it.exercise.id.as_str()).collect(),
            count: graded.len(),
            failed: failed.map(|it| it.exercise.id.as_str()),
            diagnosis: failed.map(|_| why),
            seen: failure.map(|it| it.seen.clone()),
            ..Row::default()
        }
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let passed = match self.error {
            None => format!("{} of {}", self.passed.len(), self.count),
            Some(_) => "not graded".to_owned(),
        };
        let program = self.program.clone().unwrap_or_default();
        let failed = self.failed.unwrap_or_default().to_owned();
        let why = self.diagnosis.as_ref().or(self.error.as_ref()).cloned().unwrap_or_default();
        [self.name.clone(), program, passed, failed, why, format!("{:.1}", self.seconds)]
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Copies a hand-in to a directory that doesn't exist yet, and returns that and the name of the program in it.
fn copy(path: &Path, directory: PathBuf) -> Result<(PathBuf, String)> {
    ensure!(!path.is_symlink(), "it is a link, which leads to what wasn't handed in");
    let program = if path.is_dir() {
        jail::copy(path, &directory)?;
        program_in(&directory)?
    } else {
        fs::create_dir(&directory)?;
        let name = file_name(path);
        jail::copy(path, &directory.join(&name))?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        jail::give_to_nobody(&directory)?;
        name
    };
    Ok((directory, program))
}

/// Grades the program in the copy of a hand-in.
fn graded(copy: PathBuf, program: &str, exercise: &'static Exercise, room: &Path) -> Result<Vec<Graded>> {
    let built = compile(&copy, program, exercise.kind)?;
    let candidate = Candidate {
        program: vec![Path::new(jail::HAND_IN).join(built).into()],
        directory: room.to_owned(),
        in_user_namespace: true,
        seed: u64::from(fastrand::u32(..)),
        hand_in: Some(copy),
    };
    grade_rest(&candidate, exercise, &[])
}

/// Compiles a source in a jail, and makes a script executable. Returns the name of what to execute.
fn compile(copy: &Path, program: &str, kind: Kind) -> Result<String> {
    let file = copy.join(program);
    let place = Path::new(jail::HAND_IN).join(program);
    let Some((words, built)) = crate::workshop::compiler(&place, kind) else {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        return Ok(program.to_owned());
    };
    let output = jail::command(copy, true, &[])?.args(words).stdin(Stdio::null()).output().context("compiling")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let first = stderr.lines().find(|line| line.contains("error")).or(stderr.lines().next()).unwrap_or_default();
    ensure!(output.status.success(), "does not compile: {}", first.trim());
    Ok(built.file_name().unwrap_or_default().to_string_lossy().into_owned())
}
