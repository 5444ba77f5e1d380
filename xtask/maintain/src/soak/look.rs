//! What there is before and after a load, counted.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::CLEAN_UP;
use crate::{mounts, workspace};

/// The kinds of namespaces that the steps make, as proc_pid_ns(5), unshare(1) and namespaces(7) call them.
const KINDS: [(&str, &str, &str); 4] = [
    ("uts", "--uts", "max_uts_namespaces"),
    ("pid", "--pid", "max_pid_namespaces"),
    ("mnt", "--mount", "max_mnt_namespaces"),
    ("user", "--user", "max_user_namespaces"),
];

/// A number of each thing that could leak, with a name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look(Vec<(&'static str, usize)>);

impl Look {
    /// Looks at the throwaway host that we are on. In a user namespace it is told apart what the kernel still counts as in
    /// use, even by nobody.
    pub(super) fn new(temporary: &Path, is_user: bool) -> Result<Look> {
        let processes = Processes::look(|_| true)?;
        let mut look = vec![
            ("mounts", mounts::own()?.len()),
            ("processes", processes.count),
            ("zombies", processes.zombies),
            ("namespaces in /proc/*/ns", processes.namespaces.len()),
            ("file descriptors of ours", fs::read_dir("/proc/self/fd")?.count()),
            ("files in the room", count_files(Path::new("."))),
            ("temporary files", count_files(temporary)),
        ];
        if is_user {
            for (kind, option, limit) in KINDS {
                let name = match kind {
                    "uts" => "UTS namespaces in use",
                    "pid" => "PID namespaces in use",
                    "mnt" => "mount namespaces in use",
                    _ => "user namespaces in use",
                };
                look.push((name, in_use(option, limit)?));
            }
        }
        Ok(Look(look))
    }
}

/// Looks at the real machine: what belongs to this checkout's programs, for others come and go there.
pub(super) fn ours(temporary: &Path) -> Result<Look> {
    let target = lab::cargo::target_directory()?;
    let myself = std::process::id().to_string();
    let processes = Processes::look(|process| {
        // A zombie has a name left, but no program.
        let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let is_ours = fs::read_link(process.join("exe")).is_ok_and(|exe| exe.starts_with(&target));
        (is_ours || comm.starts_with("step0")) && !process.ends_with(&myself)
    })?;
    Ok(Look(vec![
        ("processes of this checkout", processes.count),
        ("their zombies", processes.zombies),
        ("their namespaces", processes.namespaces.len()),
        ("mounts in this checkout", mounts::below(workspace::root())?.len() + mounts::below(&target)?.len()),
        ("file descriptors of ours", fs::read_dir("/proc/self/fd")?.count()),
        ("temporary files", count_files(temporary)),
    ]))
}

/// Looks until nothing changes any more.
pub(super) fn still(mut look: impl FnMut() -> Result<Look>) -> Result<Look> {
    let mut last = look()?;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = look()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// Looks until it is as before, for the kernel takes its time; bounded.
pub(super) fn settle(before: &Look, mut look: impl FnMut() -> Result<Look>) -> Result<Look> {
    let start = Instant::now();
    loop {
        let now = look()?;
        if now == *before || start.elapsed() > CLEAN_UP {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Prints both. Is it the same?
pub(super) fn compare(before: &Look, after: &Look) -> bool {
    say!("  {:<28} {:>8} {:>8}", "", "before", "after");
    for ((name, before), (_, after)) in before.0.iter().zip(&after.0) {
        let verdict = if before == after { "" } else { "  LEAK" };
        say!("  {name:<28} {before:>8} {after:>8}{verdict}");
    }
    before == after
}

/// The processes that a /proc shows.
struct Processes {
    count: usize,
    zombies: usize,
    namespaces: BTreeSet<(u64, u64)>,
}

impl Processes {
    fn look(is_wanted: impl Fn(&Path) -> bool) -> Result<Processes> {
        let mut found = Processes { count: 0, zombies: 0, namespaces: BTreeSet::new() };
        for entry in fs::read_dir("/proc").context("reading /proc")?.flatten() {
            let process = entry.path();
            let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
            if !is_process || !is_wanted(&process) {
                continue;
            }
            found.count += 1;
            // The state is behind the name, which may hold anything, so count from its end: proc_pid_stat(5).
            let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
            found.zombies += usize::from(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')));
            let kinds = fs::read_dir(process.join("ns")).into_iter().flatten().flatten();
            let ids = kinds.filter_map(|kind| fs::metadata(kind.path()).ok()).map(|it| (it.dev(), it.ino()));
            found.namespaces.extend(ids);
        }
        Ok(found)
    }
}

/// Beyond this it is a leak, however many.
const MOST: usize = 200;

/// How many namespaces of a kind the kernel counts in our user namespace: one less than the smallest limit at which
/// one more can be made.
fn in_use(option: &str, limit: &str) -> Result<usize> {
    let file = Path::new("/proc/sys/user").join(limit);
    let usual = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let set = |number: &str| fs::write(&file, number).with_context(|| format!("writing {}", file.display()));
    // So many or more.
    let mut smallest = Ok(MOST);
    for number in 1..=MOST {
        set(&number.to_string())?;
        let made = Command::new("unshare").args([option, "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
        match made {
            Ok(status) if !status.success() => continue,
            Ok(_) => smallest = Ok(number - 1),
            Err(error) => smallest = Err(error),
        }
        break;
    }
    set(usual.trim())?;
    smallest.context("starting unshare(1)")
}

/// All that lies in a folder, and in the folders in it.
fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|it| 1 + if it.file_type().is_ok_and(|kind| kind.is_dir()) { count_files(&it.path()) } else { 0 }).sum()
}
