//! `workshop/progress.txt`: what was passed, and which hints were read.
//!
//! Plain text, a line each: `passed uts 1f2e…`, `hints pid 2`; `at exercise pid` for what was last passed or begun, and
//! `begun exercise pid` for what was begun and not passed since. The exercise's id stays when its place changes; the hash is
//! that of what was asked, so that an update which asks more is noticed. Lines that this version doesn't know stay.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use exercises::Exercise;
use lab::workspace;

const HEAD: &str = "# What `cargo xtask check` saw pass, and which hints were read. Remove a line to forget it.\n";

/// The lines of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    lines: Vec<String>,
}

impl Progress {
    /// Reads the file of this checkout's workshop. Without a file, nothing was done.
    pub(super) fn read() -> Result<Progress> {
        let path = path();
        match fs::read(&path) {
            Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(parse(HEAD)),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    pub(super) fn write(&self) -> Result<()> {
        super::write(&path(), &self.text())
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// True if the exercise was passed as it is now.
    pub(super) fn has_passed(&self, exercise: &Exercise) -> bool {
        self.value("passed", &exercise.id) == Some(&asked(exercise))
    }

    /// Notes that it was passed. What was begun is passed, or left for another.
    pub(super) fn pass(&mut self, exercise: &Exercise) {
        self.set("passed", &exercise.id, &asked(exercise));
        self.set("at", "exercise", &exercise.id);
        self.lines.retain(|line| !line.starts_with("begun "));
    }

    pub(super) fn begin(&mut self, exercise: &Exercise) {
        self.set("at", "exercise", &exercise.id);
        self.set("begun", "exercise", &exercise.id);
    }

    /// Returns the last word of the line that begins with `key` and `id`.
    pub(super) fn value(&self, key: &str, id: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [it, of, value] if *it == key && *of == id => Some(*value),
            _ => None,
        })
    }

    pub(super) fn set(&mut self, key: &str, id: &str, value: &str) {
        let is_it = |line: &String| line.split_whitespace().take(2).eq([key, id]);
        let line = format!("{key} {id} {value}");
        match self.lines.iter_mut().find(|it| is_it(it)) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
    }
}

fn path() -> PathBuf {
    workspace::workshop().join("progress.txt")
}

fn parse(text: &str) -> Progress {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    Progress { lines: lines.map(str::to_owned).collect() }
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
        let mut progress = parse("# a note\nfuture thing 1 2 3\n\npassed uts 0\n");
        progress.set("hints", "pid", "2");
        progress.set("passed", "uts", "1");
        let text = progress.text();
        assert_eq!(text, "# a note\nfuture thing 1 2 3\npassed uts 1\nhints pid 2\n");
        assert_eq!(parse(&text), progress);
    }

    #[test]
    fn nonsense_is_nothing_passed() {
        let progress = parse("passed\npassed uts\nhints uts many\n\u{fffd}\n");
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
            let mut progress = parse(&text);
            prop_assert_eq!(parse(&progress.text()), progress.clone());
            let kept = |progress: &Progress| {
                let others = |line: &&String| !line.trim_start().starts_with("hints");
                progress.lines.iter().filter(others).cloned().collect::<Vec<_>>()
            };
            let others = kept(&progress);
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
            prop_assert_eq!(progress.lines.len(), lines);

            let pid = catalog::exercise("pid").unwrap();
            progress.set("hints", &pid.id, &count.to_string());
            let progress = parse(&progress.text());
            prop_assert_eq!(progress.value("hints", &pid.id).unwrap(), count.to_string());
            prop_assert_eq!(kept(&progress), others);
        }
    }
}
