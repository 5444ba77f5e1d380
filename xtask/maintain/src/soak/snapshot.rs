//! Counts of everything that a load could leak, before and after it.

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

/// How many there are of each thing that could leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot(Vec<(&'static str, usize)>);

impl Snapshot {
    /// Counts on this throwaway host. In a user namespace that includes the namespaces that the kernel hasn't freed yet,
    /// although no process is in them.
    pub(super) fn of_host(temporary: &Path, is_user: bool) -> Result<Snapshot> {
        let processes = Processes::count(|_| true)?;
        let mut counts = vec![
            ("mounts", mounts::own()?.len()),
            ("processes", processes.count),
            ("zombies", processes.zombies),
            ("namespaces in /proc/*/ns", processes.namespaces.len()),
            ("file descriptors of ours", fs::read_dir("/proc/self/fd")?.count()),
            ("files next to the rootfs", count_files(Path::new("."))),
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
                counts.push((name, in_use(option, limit)?));
            }
        }
        Ok(Snapshot(counts))
    }

    /// Counts on the real machine what belongs to this checkout's programs, because other programs come and go there.
    pub(super) fn of_machine(temporary: &Path) -> Result<Snapshot> {
        let target = lab::cargo::target_directory()?;
        let myself = std::process::id().to_string();
        let processes = Processes::count(|process| {
            // A zombie has a name left, but no program.
            let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let is_ours = fs::read_link(process.join("exe")).is_ok_and(|exe| exe.starts_with(&target));
            (is_ours || comm.starts_with("step0")) && !process.ends_with(&myself)
        })?;
        Ok(Snapshot(vec![
            ("processes of this checkout", processes.count),
            ("their zombies", processes.zombies),
            ("their namespaces", processes.namespaces.len()),
            ("mounts in this checkout", mounts::below(workspace::root())?.len() + mounts::below(&target)?.len()),
            ("file descriptors of ours", fs::read_dir("/proc/self/fd")?.count()),
            ("temporary files", count_files(temporary)),
        ]))
    }
}

/// Repeats a snapshot until two in a row are equal.
pub(super) fn stable(mut take: impl FnMut() -> Result<Snapshot>) -> Result<Snapshot> {
    let mut last = take()?;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = take()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// Repeats a snapshot until it equals `before`, because the kernel cleans up in its own time. Gives up after [`CLEAN_UP`].
pub(super) fn settle(before: &Snapshot, mut take: impl FnMut() -> Result<Snapshot>) -> Result<Snapshot> {
    let start = Instant::now();
    loop {
        let now = take()?;
        if now == *before || start.elapsed() > CLEAN_UP {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Prints both snapshots. Returns true if they are equal.
pub(super) fn compare(before: &Snapshot, after: &Snapshot) -> bool {
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
    fn count(is_wanted: impl Fn(&Path) -> bool) -> Result<Processes> {
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

/// Counting stops here: this many is a leak anyway.
const MOST: usize = 200;

/// Returns how many namespaces of a kind the kernel counts in our user namespace: one less than the smallest limit at which
/// one more can be made.
fn in_use(option: &str, limit: &str) -> Result<usize> {
    let file = Path::new("/proc/sys/user").join(limit);
    let usual = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let set = |number: &str| fs::write(&file, number).with_context(|| format!("writing {}", file.display()));
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

/// Counts the files and directories below a directory.
fn count_files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|it| 1 + if it.file_type().is_ok_and(|kind| kind.is_dir()) { count_files(&it.path()) } else { 0 }).sum()
}
