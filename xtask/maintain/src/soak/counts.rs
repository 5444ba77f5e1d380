//! Counts everything that a load could leak, before and after it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::procfs::{Pid, Proc};
use lab::{cargo, mountinfo, namespaces, workspace};

use super::CLEAN_UP;

/// The kinds of namespaces that the steps make, as unshare(1) and namespaces(7) call them.
const IN_USE: [(&str, &str, &str); 4] = [
    ("UTS namespaces in use", "--uts", "/proc/sys/user/max_uts_namespaces"),
    ("PID namespaces in use", "--pid", "/proc/sys/user/max_pid_namespaces"),
    ("mount namespaces in use", "--mount", "/proc/sys/user/max_mnt_namespaces"),
    ("user namespaces in use", "--user", "/proc/sys/user/max_user_namespaces"),
];

/// The number of each resource that could leak.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts(Vec<(&'static str, usize)>);

impl Counts {
    /// Counts on this throwaway host. In a user namespace that includes the namespaces that the kernel hasn't freed yet,
    /// although no process is in them.
    pub(super) fn of_host(temporary: &Path, is_user: bool) -> Result<Counts> {
        let mut counts = count_processes(|_, _| true)?;
        counts.push(("mounts", mountinfo::own()?.len()));
        counts.push(("files next to the rootfs", count_files(Path::new("."))));
        counts.push(("temporary files", count_files(temporary)));
        for (name, option, limit) in IN_USE.iter().filter(|_| is_user) {
            counts.push((name, in_use(option, limit)?));
        }
        Ok(Counts(counts))
    }

    /// Counts on the real machine what belongs to this checkout's programs, because other programs come and go there.
    pub(super) fn of_machine(temporary: &Path) -> Result<Counts> {
        let target = cargo::target_directory()?;
        let mut counts = count_processes(|proc, pid| {
            // A zombie has a name left, but no program.
            let is_step = proc.read(pid, "comm").is_ok_and(|comm| comm.starts_with(b"step"));
            is_step || proc.link(pid, "exe").is_ok_and(|exe| Path::new(&exe).starts_with(&target))
        })?;
        let mounts = mountinfo::below(workspace::root())?.len() + mountinfo::below(&target)?.len();
        counts.extend([("mounts in this checkout", mounts), ("temporary files", count_files(temporary))]);
        Ok(Counts(counts))
    }

    /// Repeats the count until it equals this one, because the kernel cleans up in its own time, but only for [`CLEAN_UP`].
    /// Prints both, and returns true if they are equal.
    pub(super) fn compare_with_now(&self, count: impl Fn() -> Result<Counts>) -> Result<bool> {
        let start = Instant::now();
        let mut now = count()?;
        while now != *self && start.elapsed() < CLEAN_UP {
            thread::sleep(Duration::from_millis(50));
            now = count()?;
        }
        say!("  {:<28} {:>8} {:>8}", "", "before", "after");
        for ((name, before), (_, after)) in self.0.iter().zip(&now.0) {
            let verdict = if before == after { "" } else { "  LEAK" };
            say!("  {name:<28} {before:>8} {after:>8}{verdict}");
        }
        Ok(now == *self)
    }
}

/// Repeats a count until two in a row are equal: programs that made this host may still be ending.
pub(super) fn stable(count: impl Fn() -> Result<Counts>) -> Result<Counts> {
    loop {
        let before = count()?;
        thread::sleep(Duration::from_millis(300));
        if count()? == before {
            return Ok(before);
        }
    }
}

/// Counts the processes that /proc shows, and what they have.
fn count_processes(is_wanted: impl Fn(&Proc, Pid) -> bool) -> Result<Vec<(&'static str, usize)>> {
    let proc = Proc::open(Path::new("/proc"))?;
    let mut processes = proc.processes()?;
    processes.retain(|process| is_wanted(&proc, process.pid));
    let namespaces = processes.iter().flat_map(|process| namespaces::KINDS.map(|kind| (process.pid, kind)));
    let namespaces: BTreeSet<_> =
        namespaces.filter_map(|(pid, kind)| proc.link(pid, &format!("ns/{kind}")).ok()).collect();
    Ok(vec![
        ("processes", processes.len()),
        ("zombies", processes.iter().filter(|process| process.state == 'Z').count()),
        ("namespaces in /proc/*/ns", namespaces.len()),
        ("file descriptors of ours", fs::read_dir("/proc/self/fd")?.count()),
    ])
}

/// Where counting stops, because so many are a leak in any case.
const MOST: usize = 200;

/// Returns how many namespaces of a kind the kernel counts in our user namespace: one less than the smallest limit at which
/// one more can be made.
fn in_use(option: &str, limit: &str) -> Result<usize> {
    let usual = fs::read_to_string(limit).with_context(|| format!("reading {limit}"))?;
    let set = |number: &str| fs::write(limit, number).with_context(|| format!("writing {limit}"));
    let is_enough = |number: usize| {
        set(&number.to_string())?;
        let mut unshare = Command::new("unshare");
        unshare.args([option, "true"]).stdin(Stdio::null()).stderr(Stdio::null());
        anyhow::Ok(unshare.status().context("starting unshare(1)")?.success())
    };
    let found = (1..=MOST).find_map(|number| is_enough(number).map(|it| it.then_some(number - 1)).transpose());
    set(usual.trim())?;
    found.unwrap_or(Ok(MOST))
}

/// Counts the files and directories below a directory.
fn count_files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|it| 1 + if it.file_type().is_ok_and(|kind| kind.is_dir()) { count_files(&it.path()) } else { 0 }).sum()
}
