//! `cargo xtask doctor`: reports what this machine can run, a line for each check, with a command that helps.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use duct::cmd;
use lab::advice::{advice, container};
use lab::privilege::Privilege;
use lab::probe::probe;
use lab::process::on_path;
use lab::{cargo, choice, mountinfo, output, rootfs, steps, workspace};
use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::{readiness, run};

/// The free space, in bytes, below which a build may fill the disk.
const NEEDED_SPACE: u64 = 500 << 20;

/// The lines so far.
struct Report {
    width: usize,
    text: String,
}

impl Report {
    fn ok(&mut self, subject: &str, finding: &str) {
        self.line("ok  ", subject, finding);
    }

    fn note(&mut self, subject: &str, finding: &str) {
        self.line("note", subject, finding);
    }

    fn fail(&mut self, subject: &str, finding: &str) {
        self.line("FAIL", subject, finding);
    }

    /// Adds a line. A long finding continues below its beginning.
    fn line(&mut self, verdict: &str, subject: &str, finding: &str) {
        const INDENT: usize = 24;
        let finding = output::wrap(finding, self.width.saturating_sub(INDENT), 0);
        let finding = finding.replace('\n', &format!("\n{:INDENT$}", ""));
        self.text.push_str(&format!("  {verdict} {subject:<16} {finding}\n"));
    }
}

/// Prints what it finds. The exit status is success only if every step can run here.
///
/// # Errors
/// If a check itself fails. A bad finding is not an error.
pub fn run() -> Result<ExitCode> {
    let mut report = Report { width: output::width(), text: String::new() };
    machine(&mut report);
    let all_run = rights(&mut report)?;
    traces(&mut report);
    if !workspace::IS_ARCHIVE {
        programs(&mut report);
    }
    places(&mut report)?;
    report.text.push_str(match all_run {
        true => "\nEvery step can run here: `cargo xtask run step01`.\n",
        false => "\nNot every step can run here; the lines marked FAIL explain why.\n",
    });
    output::write(&report.text)?;
    Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn machine(report: &mut Report) {
    let kernel = uname().map(|it| format!("{} on {}", it.release().display(), it.machine().display()));
    report.ok("kernel", &kernel.unwrap_or_default());
    let version = fs::read_to_string("/proc/version").unwrap_or_default().to_lowercase();
    if version.contains("microsoft") {
        match version.contains("wsl2") || version.contains("microsoft-standard") {
            true => report.ok("WSL", "2"),
            false => report.fail("WSL", "1, which has no namespaces: `wsl --set-version DISTRO 2`"),
        }
    }
    if let Some(container) = container() {
        report.note("inside", &format!("{container}; the next lines show what it allows"));
    }
}

/// Tries every way to get the rights, and every step. Returns true if every step can run.
fn rights(report: &mut Report) -> Result<bool> {
    let steps: Vec<_> = steps::all()?.into_iter().map(|step| (readiness::of(&step, None), step)).collect();
    let all_run = steps.iter().all(|(choice, _)| choice.is_ok());
    let ways = choice::ways_to_run();
    for &way in &ways {
        let subject = match way {
            Privilege::Root => "root",
            Privilege::User => "user namespace",
            Privilege::Sudo => "sudo",
        };
        match probe(way) {
            Ok(None) => report.ok(subject, "every call of the steps works"),
            Ok(Some(refusal)) => {
                let advice = advice(way, refusal, &ways);
                let line = format!("{}: {}. {advice}", refusal.call, refusal.errno);
                // A way that isn't needed is not a failure.
                if all_run { report.note(subject, &line) } else { report.fail(subject, &line) }
            }
            Err(_) if way == Privilege::Sudo => {
                report.note(subject, "asks for a password, or doesn't allow you to use it: `sudo -v` shows which");
            }
            Err(error) => return Err(error),
        }
    }
    for (choice, step) in &steps {
        match choice {
            Ok(choice) => report.ok(&step.name, &format!("{}, {}", step.title, run::place(choice.privilege))),
            Err(error) => report.fail(&step.name, &format!("{error:#}")),
        }
    }
    Ok(all_run)
}

/// Looks for what an incomplete step may have left on this machine, and for the propagation of `/`, which decides what it leaves.
fn traces(report: &mut Report) {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let renamed = "mini-docker: did a step rename this machine? `sudo hostname \"$(cat /etc/hostname)\"`";
    match hostname.trim() {
        "mini-docker" => report.note("hostname", renamed),
        name => report.ok("hostname", name),
    }
    let mounts = mountinfo::own().unwrap_or_default();
    let shared = "shared, as under systemd: without MS_PRIVATE a container's mounts would appear here";
    match mounts.iter().rfind(|mount| mount.point == Path::new("/")).map(|root| root.peers.is_some()) {
        Some(true) => report.ok("mount of /", shared),
        Some(false) => report.ok("mount of /", "private: a forgotten MS_PRIVATE would not show here"),
        None => report.note("mount of /", "not a mount point, so this is a chroot"),
    }
    for point in mountinfo::below(&workspace::rootfs()).unwrap_or_default() {
        report.note("left mounted", &format!("{0}: `sudo umount '{0}'`", point.display()));
    }
}

fn programs(report: &mut Report) {
    for (program, task) in [("curl", "downloads"), ("gzip", "unpacks"), ("sha512sum", "verifies")] {
        let missing = format!("missing ({task} Alpine): install it, or the rootfs is made of this machine's programs");
        match on_path(program) {
            Some(path) => report.ok(program, &path.display().to_string()),
            None => report.note(program, &missing),
        }
    }
    // A compiler that doesn't find a library repeats its name.
    let library = cmd!("cc", "-print-file-name=libc.a").stdin_null().stderr_null().read().unwrap_or_default();
    let missing = "missing (the escape from a chroot is linked with it): install libc6-dev, or glibc-static on Fedora";
    match Path::new(&library).is_absolute() {
        true => report.ok("libc.a", &library),
        false => report.note("libc.a", missing),
    }
    match cargo::static_target() {
        Some(target) => report.ok("musl", &format!("{target}: `run --release` builds static programs")),
        None => {
            let add = format!("`rustup target add {}-unknown-linux-musl`", env::consts::ARCH);
            report.note("musl", &format!("missing (`run --release` builds static programs with it): {add}"));
        }
    }
}

/// Checks the disk, the rootfs, and files that get in the way.
fn places(report: &mut Report) -> Result<()> {
    let root = workspace::root();
    if let Ok(disk) = statvfs(root) {
        // f_bavail counts in fragments, statvfs(3). Some machines have both as u32.
        #[allow(clippy::useless_conversion)]
        let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size());
        let line = format!("{} MiB free in {}", free >> 20, root.display());
        match free < NEEDED_SPACE {
            true => report.note("disk", &format!("{line}: a build needs {}", NEEDED_SPACE >> 20)),
            false => report.ok("disk", &line),
        }
    }
    let ours = workspace::rootfs();
    let obstacle = readiness::rootfs_obstacle();
    match (&obstacle, rootfs::is_missing(&ours), rootfs::stamp(&ours)) {
        (Some(obstacle), ..) => report.fail("rootfs", obstacle),
        (None, true, _) => {
            report.ok("rootfs", "not made yet: `cargo xtask rootfs` makes it, and so does the first run of step 3");
        }
        (None, false, Some(stamp)) => report.ok("rootfs", &format!("made from {stamp}")),
        (None, false, None) => report.note("rootfs", "not made by xtask; `cargo xtask rootfs --force` replaces it"),
    }
    let target = cargo::target_directory()?;
    // An archive may belong to root, and nothing is built in it.
    if !geteuid().is_root()
        && !workspace::IS_ARCHIVE
        && let Some(file) = [&target, &ours].into_iter().find_map(|directory| owned_by_root(directory))
    {
        let cure = format!("`sudo chown -R \"$(id -u):$(id -g)\" '{}' rootfs`", target.display());
        report.note("root's files", &format!("such as {}: {cure}", file.display()));
    }
    Ok(())
}

/// Returns a file of root's in a directory of ours, which a later build couldn't replace: the mark of a `sudo cargo`.
fn owned_by_root(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let metadata = entry.path().symlink_metadata().ok()?;
        if metadata.uid() == 0 {
            return Some(entry.path());
        }
        if metadata.is_dir() { owned_by_root(&entry.path()) } else { None }
    })
}
