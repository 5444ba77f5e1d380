//! `workshop/progress.txt`: what was passed and which hints were read.
//!
//! Plain text, a line each: `passed uts 1f2e…`, `hints pid 2`; `skipped uts 1` for what `catch-up` or `reset` gave the solution of;
//! `shown uts 1` if the solution was shown before the exercise was passed; `failed pid orphans-left` for the diagnosis of the last
//! check; `at exercise pid` for what was last passed or begun, and `begun exercise pid` for what was begun and not passed since. The
//! exercise's id stays when its place changes; the hash is that of what was asked, so that an update which asks more is noticed.
//!
//! The first lines are about the program in `workshop/`. After a line `[/home/me/mine.py]` come those about another program.
//! `current program /home/me/mine.py` is the one that `check --cmd` named last. Lines that this version doesn't know stay.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use exercises::Exercise;
use lab::workspace;

use super::program::Program;

const HEAD: &str = "# What passed in `cargo xtask check`, and which hints were read. Remove a line to forget it.\n";

/// The beginning of the line about the remembered program.
const CURRENT: &str = "current program ";

/// The lines of the file, and the section that is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    lines: Vec<String>,
    /// `None` is the first one, without a heading.
    section: Option<String>,
}

impl Progress {
    /// Reads what is noted about a program in this checkout's workshop. Without a file, nothing was done.
    pub(crate) fn read(program: &Program) -> Result<Progress> {
        let path = path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => HEAD.into(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let progress = parse(&String::from_utf8_lossy(&bytes), program.section());
        warn(&bytes, &progress);
        Ok(progress)
    }

    /// Reads another learner's file: what is noted about the program that its commands are about. Returns that program, too.
    pub(crate) fn of_file(path: &Path) -> Result<(Program, Progress)> {
        let (reading, mut bytes) = (|| format!("reading {}", path.display()), Vec::new());
        // Nobody's progress is longer, unless on purpose.
        File::open(path).and_then(|it| it.take(1 << 20).read_to_end(&mut bytes)).with_context(reading)?;
        let mut progress = parse(&String::from_utf8_lossy(&bytes), None);
        progress.section = progress.current().map(str::to_owned);
        let program = progress.section.as_ref().map_or(Program::Mine, |path| Program::Other(path.into()));
        Ok((program, progress))
    }

    /// Changes what is noted about a program, if there is a workshop to note it in. Other commands wait meanwhile, so that none
    /// loses the lines of another. Returns what is noted now.
    pub(crate) fn update(program: &Program, change: impl FnOnce(&mut Progress)) -> Result<Progress> {
        if !program.is_noted() {
            let mut progress = Progress::read(program)?;
            change(&mut progress);
            return Ok(progress);
        }
        let path = path();
        // Another file, because this one is replaced.
        let name = path.with_file_name(".progress.lock");
        let lock = File::create(&name).with_context(|| format!("opening {}", name.display()))?;
        super::give_to_owner(&name);
        // Some network file systems have no locks.
        let _ = lock.lock();
        let mut progress = Progress::read(program)?;
        let before = progress.clone();
        change(&mut progress);
        if progress != before {
            keep_if_garbled(&path)?;
            super::write(&path, &progress.text())?;
        }
        Ok(progress)
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Returns the path of the program that `--cmd` named last.
    pub(super) fn current(&self) -> Option<&str> {
        self.lines[self.range(None)].iter().find_map(|line| line.strip_prefix(CURRENT))
    }

    /// Notes the program that commands are about from now on.
    pub(super) fn set_current(&mut self, program: &Program) {
        self.lines.retain(|line| !line.starts_with(CURRENT));
        if let Some(path) = program.section() {
            self.lines.insert(self.range(None).end, format!("{CURRENT}{path}"));
        }
    }

    /// True if the exercise was passed as it is now.
    pub(crate) fn has_passed(&self, exercise: &Exercise) -> bool {
        self.value("passed", &exercise.id) == Some(&asked(exercise))
    }

    /// True if its solution was given to the learner, and was not passed before.
    pub(crate) fn has_skipped(&self, exercise: &Exercise) -> bool {
        !self.has_passed(exercise) && self.value("skipped", &exercise.id).is_some()
    }

    /// True if it was passed after its solution was shown.
    pub(crate) fn was_shown(&self, exercise: &Exercise) -> bool {
        self.has_passed(exercise) && self.value("shown", &exercise.id).is_some()
    }

    /// Notes that its solution is shown, unless it was passed before.
    pub(super) fn show(&mut self, exercise: &Exercise) {
        if !self.has_passed(exercise) {
            self.set("shown", &exercise.id, "1");
        }
    }

    /// Returns the exercise that failed in the last check, and the id of the diagnosis.
    pub(crate) fn failed(&self) -> Option<(&str, &str)> {
        let lines = &self.lines[self.range(self.section.as_deref())];
        lines.iter().find_map(|line| line.strip_prefix("failed ")?.split_once(' '))
    }

    /// Notes which exercise failed in this check, and why.
    pub(super) fn set_failed(&mut self, failed: Option<(&Exercise, String)>) {
        if let Some(old) = self.failed().map(|(exercise, _)| exercise.to_owned()) {
            self.remove("failed", &old);
        }
        if let Some((exercise, diagnosis)) = failed {
            self.set("failed", &exercise.id, &diagnosis);
        }
    }

    /// Notes that it was passed, unless its solution was given to the learner.
    pub(super) fn pass(&mut self, exercise: &Exercise) {
        if !self.has_skipped(exercise) {
            self.set("passed", &exercise.id, &asked(exercise));
        }
    }

    /// Notes that the checks of the exercise that was asked for pass. What was begun is passed, or left for another.
    pub(super) fn finish(&mut self, exercise: &Exercise) {
        self.set("at", "exercise", &exercise.id);
        self.remove("begun", "exercise");
    }

    /// Notes that the learner starts with an exercise from a program that solves those `given`.
    pub(super) fn begin(&mut self, exercise: &Exercise, given: &[&Exercise]) {
        for it in given {
            if !self.has_passed(it) {
                self.set("skipped", &it.id, "1");
            }
        }
        self.remove("skipped", &exercise.id);
        self.set_failed(None);
        self.set("at", "exercise", &exercise.id);
        self.set("begun", "exercise", &exercise.id);
    }

    /// Returns how many hints of an exercise were shown.
    pub(crate) fn hints(&self, exercise: &Exercise) -> usize {
        self.value("hints", &exercise.id).and_then(|it| it.parse().ok()).unwrap_or(0)
    }

    /// Returns the rest of the line that begins with `key` and `id`.
    pub(super) fn value(&self, key: &str, id: &str) -> Option<&str> {
        let lines = &self.lines[self.range(self.section.as_deref())];
        lines.iter().find_map(|line| rest_of(line, key, id))
    }

    pub(super) fn set(&mut self, key: &str, id: &str, value: &str) {
        if let Some(heading) = self.section.as_ref().map(|section| format!("[{section}]"))
            && !self.lines.contains(&heading)
        {
            self.lines.push(heading);
        }
        let range = self.range(self.section.as_deref());
        let line = format!("{key} {id} {value}");
        match self.lines[range.clone()].iter_mut().find(|it| rest_of(it, key, id).is_some()) {
            Some(old) => *old = line,
            None => self.lines.insert(range.end, line),
        }
    }

    fn remove(&mut self, key: &str, id: &str) {
        for at in self.range(self.section.as_deref()).rev() {
            if rest_of(&self.lines[at], key, id).is_some() {
                self.lines.remove(at);
            }
        }
    }

    /// Returns where the lines of a section are; nowhere if there is none.
    fn range(&self, section: Option<&str>) -> Range<usize> {
        let is_heading = |line: &String| line.starts_with('[') && line.ends_with(']');
        let start = match section {
            None => 0,
            Some(name) => match self.lines.iter().position(|line| *line == format!("[{name}]")) {
                Some(heading) => heading + 1,
                None => return self.lines.len()..self.lines.len(),
            },
        };
        let length = self.lines[start..].iter().position(is_heading).unwrap_or(self.lines.len() - start);
        start..start + length
    }
}

fn rest_of<'a>(line: &'a str, key: &str, id: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(' ')?.strip_prefix(id)?.strip_prefix(' ')
}

/// Reports a file that this version can't read in full, once for each command.
fn warn(bytes: &[u8], progress: &Progress) {
    static WARNED: Once = Once::new();
    let unknown = progress.lines.iter().filter(|line| !is_known(line)).count();
    let text = match (std::str::from_utf8(bytes), unknown) {
        (Ok(_), 0) => return,
        (Ok(_), 1) => "has a line that this version doesn't know; it stays".to_owned(),
        (Ok(_), _) => format!("has {unknown} lines that this version doesn't know; they stay"),
        (Err(_), _) => "is garbled; the next change keeps it as progress.txt.broken".to_owned(),
    };
    WARNED.call_once(|| eprintln!("xtask: workshop/progress.txt {text}"));
}

fn is_known(line: &str) -> bool {
    let is_note = line.starts_with('#') || line.starts_with('[') || line.starts_with(CURRENT);
    let words: Vec<&str> = line.split_whitespace().collect();
    is_note
        || matches!(
            words.as_slice(),
            ["passed" | "hints" | "skipped" | "shown" | "failed", _, _] | ["at" | "begun", "exercise", _]
        )
}

/// Copies a file that isn't text, because a change writes only the text in it.
fn keep_if_garbled(path: &Path) -> Result<()> {
    let Ok(bytes) = fs::read(path) else { return Ok(()) };
    if std::str::from_utf8(&bytes).is_ok() {
        return Ok(());
    }
    let names = (1..).map(|number| match number {
        1 => "progress.txt.broken".to_owned(),
        number => format!("progress.txt.broken-{number}"),
    });
    for name in names {
        match File::create_new(path.with_file_name(&name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("keeping a garbled {}", path.display())),
            Ok(_) => {
                let kept = path.with_file_name(&name);
                fs::write(&kept, &bytes).with_context(|| format!("writing workshop/{name}"))?;
                super::give_to_owner(&kept);
                eprintln!("xtask: workshop/progress.txt was garbled; it is kept as workshop/{name}");
                break;
            }
        }
    }
    Ok(())
}

fn path() -> PathBuf {
    workspace::workshop().join("progress.txt")
}

fn parse(text: &str, section: Option<&str>) -> Progress {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    Progress { lines: lines.map(str::to_owned).collect(), section: section.map(str::to_owned) }
}

/// Returns a hash of what an exercise asks: its statement and its checks.
fn asked(exercise: &Exercise) -> String {
    let checks = exercise.checks.iter().map(|check| check.sentence.as_str());
    let text: Vec<&str> = [exercise.statement.as_str()].into_iter().chain(checks).collect();
    format!("{:016x}", fnv(text.join("\n").as_bytes()))
}

/// FNV-1a with 64 bits, because std's hash may change with the next Rust.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog;

    #[test]
    fn what_is_written_is_read() {
        let mut progress = parse("# a note\nfuture thing 1 2 3\n\npassed uts 0\n", None);
        progress.set("hints", "pid", "2");
        progress.set("passed", "uts", "1");
        let text = progress.text();
        assert_eq!(text, "# a note\nfuture thing 1 2 3\npassed uts 1\nhints pid 2\n");
        assert_eq!(parse(&text, None), progress);
    }

    #[test]
    fn each_program_has_lines_of_its_own() {
        let mut mine = parse("passed uts 1\n[/a b/x.py]\npassed uts 2\n[/y]\nhints uts 3\n", None);
        mine.set_current(&Program::Other("/a b/x.py".into()));
        assert_eq!((mine.value("passed", "uts"), mine.value("hints", "uts")), (Some("1"), None));
        let mut x = parse(&mine.text(), Some("/a b/x.py"));
        assert_eq!((x.value("passed", "uts"), x.current()), (Some("2"), Some("/a b/x.py")));
        x.set("hints", "pid", "1");
        let mut new = parse(&x.text(), Some("/new"));
        assert_eq!(new.value("passed", "uts"), None);
        new.set("at", "exercise", "pid");
        let text = "passed uts 1\ncurrent program /a b/x.py\n[/a b/x.py]\npassed uts 2\nhints pid 1\n[/y]\nhints uts 3\n\
            [/new]\nat exercise pid\n";
        assert_eq!(new.text(), text);
        new.set_current(&Program::Mine);
        assert_eq!(new.current(), None);
    }

    #[test]
    fn nonsense_is_nothing_passed() {
        let progress = parse("passed\npassed uts\nhints uts many\n\u{fffd}\n", None);
        let uts = catalog::exercise("uts").unwrap();
        assert!(!progress.has_passed(uts));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }

    proptest! {
        #[test]
        fn any_file_is_kept_and_can_be_added_to(text in "(.|\n|\r|# ?|passed uts [0-9]{1,2}|hints pid){0,40}", count in 0..9_usize) {
            let mut progress = parse(&text, None);
            prop_assert_eq!(parse(&progress.text(), None), progress.clone());
            let kept = |progress: &Progress| {
                let others = |line: &&String| !line.trim_start().starts_with("hints");
                progress.lines.iter().filter(others).cloned().collect::<Vec<_>>()
            };
            let others = kept(&progress);
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
            prop_assert_eq!(progress.lines.len(), lines);

            let pid = catalog::exercise("pid").unwrap();
            progress.set("hints", &pid.id, &count.to_string());
            let progress = parse(&progress.text(), None);
            prop_assert_eq!(progress.value("hints", &pid.id).unwrap(), count.to_string());
            prop_assert_eq!(kept(&progress), others);
        }
    }
}
