//! What is known of one run of the program, and how to report it.

use std::process::ExitStatus;

use lab::procfs::{FileId, Process};
use nix::errno::Errno;

use super::diagnosis::Diagnosis;
use super::observation::Observation;
use super::probe::Probe;
use super::sandbox::Remains;
use super::snapshot::{Baseline, Changes};
use super::stderr::Stderr;
use super::verdict::{Checked, Error, fail, failure};

/// One run of the program, from its start to what it left behind.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The host before the run.
    pub host: Baseline,
    /// What the command was. Empty if it wasn't a probe: then only the container and the host are judged.
    pub probe: Probe,
    /// The variables that it was started with, in addition to the host's.
    pub variables: Vec<(String, String)>,
    /// The hostname that a flag asked for.
    pub hostname: Option<String>,
    /// The container while the command waited; `None` if the command never appeared.
    pub observation: Option<Observation>,
    /// If the command never appeared: a process with its name or its first words, but not all of them.
    pub other_words: Option<Process>,
    /// Another process with all of the command's words, neither an ancestor nor a descendant of it.
    pub double: Option<Process>,
    /// True if the command disappeared before it was told to end.
    pub vanished: bool,
    /// True if the command reported that it was running only after stdin had ended.
    pub came_late: bool,
    pub ended_early: bool,
    pub status: ExitStatus,
    /// The user namespace that it ended in.
    pub remains: Option<Remains>,
    /// True if it wrote to its /proc/self/setgroups; `None` if that wasn't watched.
    pub wrote_setgroups: Option<bool>,
    /// The user namespace that it started in, if that was watched.
    pub started_in: Option<FileId>,
    /// True if the command's output arrived while it waited.
    pub was_prompt: bool,
    /// True if the command still read after stdin had ended, and was killed.
    pub read_on: bool,
    pub aside_arrived: bool,
    pub stdout: String,
    /// Everything that was written to stderr, except the command's own line.
    pub stderr: String,
    /// What changed on the host.
    pub changes: Changes,
}

impl Evidence {
    /// Returns the command, or fails because it never ran.
    pub fn command(&self) -> Checked<&Observation> {
        self.observation.as_ref().ok_or_else(|| self.never_ran())
    }

    fn never_ran(&self) -> Error {
        let said = match self.stderr.trim() {
            "" => "nothing on stderr".to_owned(),
            text => format!("on stderr: {}", shorten(text)),
        };
        let seen = format!("`run` ended with {}; {said}", describe(self.status));
        if let Some(mount) = self.changes.mounts_gone.first() {
            let seen = format!("{seen}; on the host, {} is no longer mounted", mount.point.display());
            return fail!(MountsLeft, "the host's mounts unchanged", "{seen}");
        }
        let words = Stderr::new(&self.stderr);
        if let Some(remains) = self.remains.as_ref().filter(|it| !it.in_hosts_user_namespace && !it.is_mapped()) {
            return if remains.allows_setgroups && remains.gid_map.trim().is_empty() && words.has("gid_map") {
                let expected = "`deny` written to setgroups before gid_map";
                let maps = "in its user namespace, gid_map is empty and setgroups is still \"allow\"";
                fail!(GroupsNotDenied, expected, "{seen}; {maps}")
            } else {
                not_mapped(&seen, &remains.uid_map, &remains.gid_map)
            };
        }
        if let Some(other) = &self.other_words {
            let expected = "each of the command's words as a separate argument";
            return fail!(WordsLost, expected, "a process has the words {:?}", other.line());
        }
        if self.vanished {
            let expected = "the command running until it ends by itself";
            return fail!(DidNotWait, expected, "the command disappeared before it had read a word; {seen}");
        }
        if self.came_late {
            let expected = "input that reaches the command while it is typed";
            return fail!(InputLost, expected, "the command started only after stdin had ended");
        }
        let host_only_shell = self.host.host_only_shell.as_ref().map(|it| it.display().to_string());
        let names = |shell: &String| words.names(Errno::ENOENT) && words.has(&shell.to_lowercase());
        if let Some(shell) = host_only_shell.filter(names) {
            let expected = "the command looked up in ./rootfs, where it is /bin/sh";
            return fail!(FoundOnTheHost, expected, "{seen}; {shell} is on the host but not in ./rootfs");
        }
        let expected = format!("the command given to `run`, the shell `sh -c … {} …`", self.probe.words[3]);
        if self.status.code() == Some(2) && self.stderr.trim().is_empty() {
            return fail!(NoContract, expected, "{seen}");
        }
        failure(words.meaning().unwrap_or(Diagnosis::NeverRan), seen, expected)
    }

    /// True if the program ended with the status that the command was told.
    pub fn is_told_status(&self) -> bool {
        self.observation.is_some() && self.status.code() == Some(self.probe.told.into())
    }
}

impl Remains {
    pub fn is_mapped(&self) -> bool {
        maps_root(&self.uid_map) && maps_root(&self.gid_map)
    }
}

/// True if a map of a user namespace includes its root. Each line is the first number inside, the first outside, and a count:
/// user_namespaces(7).
pub fn maps_root(map: &str) -> bool {
    map.lines().any(|line| line.split_whitespace().next() == Some("0"))
}

/// Returns the failure of a user namespace without its maps.
pub fn not_mapped(seen: &str, uid_map: &str, gid_map: &str) -> Error {
    let expected = "both maps beginning with 0, so that the user outside is root inside";
    let (uid_map, gid_map) = (uid_map.trim(), gid_map.trim());
    fail!(NotMapped, expected, "{seen}; in its user namespace, uid_map is {uid_map:?} and gid_map is {gid_map:?}")
}

/// Describes an exit status.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Quotes what a program wrote. Shortens a long text to the beginning, the end, and the line that names what failed, which may
/// be anywhere in a traceback.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    const BEGINNING: usize = 80;
    const END: usize = 120;
    let text = text.trim();
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let end = text.char_indices().rev().nth(END).map_or(0, |(at, _)| at);
    let begin = text.char_indices().nth(BEGINNING).map_or(text.len(), |(at, _)| at);
    let names_failure = |line: &&str| Stderr::new(line).names_an_errno();
    let middle =
        text[begin..end].lines().find(names_failure).map(|line| line.trim().chars().take(LONGEST / 2).collect());
    let parts: Vec<String> =
        [Some(text[..begin].to_owned()), middle, Some(text[end..].to_owned())].into_iter().flatten().collect();
    parts.iter().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(" … ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_failed_is_not_cut() {
        let filler = "goroutine 1 [running]: main.main() /home/me/mine.go:12\n".repeat(4);
        let text = format!("{filler}panic: mount: invalid argument\n{filler}exit status 2");
        let shown = shorten(&text);
        assert!(shown.contains("mount: invalid argument") && shown.ends_with("exit status 2\""), "{shown}");
        assert_eq!(shorten(" short\n"), "\"short\"");
        assert!(shorten(&"é".repeat(1000)).chars().count() < 300);
    }
}
