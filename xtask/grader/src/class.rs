//! `cargo xtask class`: shows a teacher where everyone in a room is, from the progress files of the learners.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Once;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use anyhow::{Context, Error, Result, bail, ensure};
use exercises::Exercise;
use serde::Serialize;
use serde_json::json;

use crate::catalog;
use crate::table::Format;
use crate::text::{markdown, visible};
use crate::watch::{clear, end_of_input};
use crate::workshop::{self, Progress};

pub(crate) mod page;

/// The options of `xtask class`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The learners: the directory of each, or the file progress.txt, or a directory of such directories, such as /home
    #[arg(required = true, value_name = "DIR")]
    pub learners: Vec<PathBuf>,
    /// Show it again every two seconds, until Ctrl-D
    #[arg(long)]
    pub watch: bool,
    /// Show it as a web page instead, on this address [default: 127.0.0.1:3001]
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1",
        value_parser = page::address,
        conflicts_with_all = ["watch", "json", "csv"]
    )]
    pub serve: Option<SocketAddr>,
    #[command(flatten)]
    pub format: Format,
}

/// The columns of the table and of the CSV.
const COLUMNS: [&str; 9] = ["learner", "program", "own", "shown", "skipped", "at", "diagnosis", "hints", "minutes"];

/// What is known about a learner.
#[derive(Debug, Serialize)]
struct Row {
    learner: String,
    program: String,
    /// How many exercises were passed without having seen the solution.
    own: usize,
    /// How many were passed after the solution was shown.
    shown: usize,
    /// How many were solved by `catch-up`.
    skipped: usize,
    /// The exercise that failed last, otherwise the next one.
    at: Option<&'static str>,
    /// Why it failed.
    diagnosis: Option<String>,
    /// How many of its hints were read.
    hints: usize,
    /// The time since the last activity.
    minutes: u64,
}

/// Prints the table once, or again and again. The exit status is 2 for a path that has no progress in it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    const INTERVAL: Duration = Duration::from_secs(2);
    let ended = options.watch.then(end_of_input);
    loop {
        let complain = |error: &Error| eprintln!("xtask: {}", visible(&format!("{error:#}")));
        let Ok(rows) = read(&options.learners).inspect_err(complain) else { return Ok(ExitCode::from(2)) };
        if let Some(address) = options.serve {
            return page::serve(address, || read(&options.learners));
        }
        if options.watch {
            clear()?;
        }
        let json = json!({ "learners": rows, "board": for_the_board(&rows)? });
        options.format.print(COLUMNS, rows.iter().map(Row::cells), &explanation(&rows)?, &json)?;
        for _ in 0..10 {
            if ended.as_ref().is_none_or(|it| it.load(Ordering::Relaxed)) {
                return Ok(ExitCode::SUCCESS);
            }
            thread::sleep(INTERVAL / 10);
        }
    }
}

/// Reads the progress of all learners, those who need help first: whose last check failed, who read the most hints about that, and who
/// passed the fewest exercises. Reports those that can't be read, once.
fn read(learners: &[PathBuf]) -> Result<Vec<Row>> {
    static WARNED: Once = Once::new();
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    for path in learners {
        ensure!(path.exists(), "there is no {}", path.display());
        let mut found: Vec<_> = file_of(path).map(|file| (name(path), file)).into_iter().collect();
        if found.is_empty() && path.is_dir() {
            let mut below: Vec<PathBuf> = fs::read_dir(path)
                .with_context(|| format!("reading {}", path.display()))?
                .flatten()
                .map(|entry| entry.path())
                .collect();
            below.sort();
            found.extend(below.iter().filter_map(|path| Some((name(path), file_of(path)?))));
            let closed: Vec<String> = below.iter().filter(|it| is_closed(it)).map(|it| name(it)).collect();
            ensure!(closed.is_empty() || !found.is_empty(), "only root can look into {}/*", path.display());
            unreadable.extend(closed);
        }
        if found.is_empty() {
            bail!("{} has no progress.txt in it, and neither has a directory below it", path.display());
        }
        files.extend(found);
    }
    let mut rows = Vec::new();
    for (learner, file) in files {
        match row(learner.clone(), &file) {
            Ok(row) => rows.push(row),
            Err(_) => unreadable.push(learner),
        }
    }
    if !unreadable.is_empty() {
        let names = visible(&unreadable.join(", "));
        WARNED.call_once(|| eprintln!("xtask: left out, because the files can't be read: {names}"));
    }
    rows.sort_by_key(|row| (row.diagnosis.is_none(), usize::MAX - row.hints, row.own + row.shown, row.learner.clone()));
    Ok(rows)
}

/// True for a directory whose files can't be reached.
fn is_closed(path: &Path) -> bool {
    path.is_dir() && path.join("progress.txt").metadata().is_err_and(|it| it.kind() == ErrorKind::PermissionDenied)
}

/// Returns a learner's progress file, which is in a home, in a checkout, in a workshop, or the path itself.
fn file_of(path: &Path) -> Option<PathBuf> {
    let places = [
        "progress.txt",
        "workshop/progress.txt",
        "mini-docker-workshop/progress.txt",
        "mini-docker/workshop/progress.txt",
    ];
    let is_file = path.is_file() && path.extension().is_some_and(|it| it == "txt");
    let mut files = places.map(|place| path.join(place)).into_iter();
    if is_file { Some(path.to_owned()) } else { files.find(|file| file.is_file()) }
}

/// Returns the name of a learner: that of the directory or of the file, if it isn't the same for everyone.
fn name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or(path.to_owned());
    let is_own = |it: &&Path| {
        let common = ["progress.txt", "workshop", "mini-docker-workshop", "mini-docker"];
        it.file_name().is_some_and(|name| common.iter().all(|it| name != *it))
    };
    let own = path.ancestors().find(is_own).unwrap_or(&path);
    let name = if own.is_file() { own.file_stem() } else { own.file_name() };
    name.unwrap_or(own.as_os_str()).to_string_lossy().into_owned()
}

fn row(learner: String, file: &Path) -> Result<Row> {
    let (program, progress) = Progress::of_file(file)?;
    let all = catalog::exercises()?;
    let count = |is: &dyn Fn(&Exercise) -> bool| all.iter().filter(|it| is(it)).count();
    let failed = progress.failed().and_then(|(id, why)| Some((all.iter().find(|it| it.id == id)?, why)));
    let next = workshop::open(&program, &progress)?;
    let at = failed.map(|(it, _)| it).or(next);
    let modified = file.metadata()?.modified()?;
    let idle = SystemTime::now().duration_since(modified).unwrap_or_default();
    Ok(Row {
        learner,
        program: program.short(),
        own: count(&|it| progress.has_passed(it) && !progress.was_shown(it)),
        shown: count(&|it| progress.was_shown(it)),
        skipped: count(&|it| progress.has_skipped(it)),
        at: at.map(|it| it.id.as_str()),
        // It may be of another version, or a learner's own words.
        diagnosis: failed.map(|(_, why)| why.chars().take(40).collect()),
        hints: at.map_or(0, |it| progress.hints(it)),
        minutes: idle.as_secs() / 60,
    })
}

impl Row {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let [own, shown, skipped, hints] = [self.own, self.shown, self.skipped, self.hints].map(|it| it.to_string());
        let [at, diagnosis] = [self.at, self.diagnosis.as_deref()].map(|it| it.unwrap_or_default().to_owned());
        let (learner, program) = (self.learner.clone(), self.program.clone());
        [learner, program, own, shown, skipped, at, diagnosis, hints, self.minutes.to_string()]
    }
}

/// Returns a sentence about the diagnosis that most have, if it isn't only one.
fn for_the_board(rows: &[Row]) -> Result<Option<String>> {
    let count = |id: &str| rows.iter().filter(|row| row.diagnosis.as_deref() == Some(id)).count();
    let diagnoses = catalog::diagnoses()?;
    let most = diagnoses.iter().max_by_key(|it| count(&it.id)).filter(|it| count(&it.id) > 1);
    Ok(most.map(|it| {
        let page = it.section.replacen(".md", "", 1);
        format!("{} of {} have `{}`: {page}. {}", count(&it.id), rows.len(), it.id, it.text)
    }))
}

fn explanation(rows: &[Row]) -> Result<String> {
    let mut out = "\nown: passed; shown: passed after the solution was shown; skipped: solved by `catch-up`;\n\
                   hints: read about that exercise; minutes: since the last activity\n"
        .to_owned();
    if let Some(sentence) = for_the_board(rows)? {
        out += &format!("\n{}", markdown(&sentence));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learner_is_named_by_what_differs() {
        for (path, learner) in [
            ("/nowhere/anna/mini-docker/workshop/progress.txt", "anna"),
            ("/nowhere/bo/mini-docker-workshop", "bo"),
            ("/nowhere/class/cleo", "cleo"),
        ] {
            assert_eq!(name(Path::new(path)), learner);
        }
    }
}
