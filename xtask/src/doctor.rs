//! `cargo xtask doctor`: what this machine can and can't do, a line each, with the command that mends it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use duct::cmd;
use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;
use nix::unistd::geteuid;

use crate::privilege::{self, Privilege, container, on_path};
use crate::{mounts, rootfs, steps, workspace};

/// Below this, a build may fill the disk.
const NEEDED_SPACE: u64 = 500 << 20;

/// Prints what it finds.
///
/// # Errors
/// When it can't look; not when what it finds is bad.
///
/// Returns success only if every step can run here.
pub fn run() -> Result<ExitCode> {
    machine();
    let all_run = rights()?;
    traces();
    programs();
    let all_run = places() && all_run;
    print("");
    if all_run {
        print("Every step can run here: `cargo xtask run step01`.");
        Ok(ExitCode::SUCCESS)
    } else {
        print("Not every step can run here; the lines marked FAIL say why.");
        Ok(ExitCode::FAILURE)
    }
}

/// Unlike println, does not panic when nobody reads on: `cargo xtask doctor | head`.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn ok(what: &str, found: &str) {
    print(&format!("  ok   {what:<16} {found}"));
}

fn note(what: &str, found: &str) {
    print(&format!("  note {what:<16} {found}"));
}

fn fail(what: &str, found: &str) {
    print(&format!("  FAIL {what:<16} {found}"));
}

fn machine() {
    let kernel =
        uname().map(|it| format!("{} on {}", it.release().display(), it.machine().display())).unwrap_or_default();
    ok("kernel", &kernel);
    let version = fs::read_to_string("/proc/version").unwrap_or_default().to_lowercase();
    if version.contains("microsoft") {
        let is_2 = version.contains("wsl2") || version.contains("microsoft-standard");
        if is_2 { ok("WSL", "2") } else { fail("WSL", "1, which has no namespaces: `wsl --set-version DISTRO 2`") }
    }
    if let Some(container) = container() {
        note("inside", &format!("{container}; the next lines say what it allows"));
    }
}

/// Tries every way, and tells which steps each of them reaches. Can every step run?
fn rights() -> Result<bool> {
    let is_root = geteuid().is_root();
    let mut ways = if is_root { vec![Privilege::Root, Privilege::User] } else { vec![Privilege::User] };
    if !is_root && on_path("sudo").is_some() {
        ways.push(Privilege::Sudo);
    }
    // The number of the last step that some way reaches.
    let mut reach = 0;
    for way in ways {
        let what = match way {
            Privilege::Root => "root",
            Privilege::User => "user namespace",
            Privilege::Sudo => "sudo",
        };
        match privilege::probe(way) {
            Ok(None) => {
                ok(what, "can do all that steps 1 to 4 ask of the kernel");
                reach = u32::MAX;
            }
            Ok(Some(refused)) => {
                let advice = privilege::advice(way, refused);
                let line = format!("{}: {}. {advice}", refused.stage.call, refused.errno);
                // What another way can do, this one need not.
                if reach == u32::MAX {
                    note(what, &line)
                } else {
                    fail(what, &line)
                }
                reach = reach.max(refused.stage.step.saturating_sub(1));
            }
            Err(_) if way == Privilege::Sudo => {
                note(what, "asks for a password, or is not for you: `sudo -v`, and then this again, will tell");
            }
            Err(error) => return Err(error),
        }
    }
    let mut all_run = true;
    for step in steps::all()? {
        if step.number <= reach {
            ok(&step.name, &step.title);
        } else {
            all_run = false;
            fail(&step.name, "can't run here, see above");
        }
    }
    Ok(all_run)
}

/// What a step with a missing line can have left on a machine, and how `/` is mounted, which decides what it leaves.
fn traces() {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match hostname.trim() {
        "mini-docker" => {
            note("hostname", "mini-docker: did a step rename this machine? `sudo hostname \"$(cat /etc/hostname)\"`")
        }
        name => ok("hostname", name),
    }
    let mounts = mounts::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default());
    match mounts.iter().rfind(|mount| mount.point == Path::new("/")).map(|root| root.peers.is_some()) {
        Some(true) => {
            ok("mount of /", "shared, as systemd has it: without MS_PRIVATE a container's mounts would show here")
        }
        Some(false) => ok("mount of /", "private: a forgotten MS_PRIVATE would not show here"),
        None => note("mount of /", "not a mount point: is this a chroot?"),
    }
    for point in mounts::below(&workspace::rootfs()).unwrap_or_default() {
        note("left mounted", &format!("{0}: `sudo umount {0}`", point.display()));
    }
}

fn programs() {
    let needed = [("curl", "downloads Alpine"), ("gzip", "unpacks Alpine"), ("sha512sum", "verifies Alpine")];
    for (program, use_) in needed {
        match on_path(program) {
            Some(path) => ok(program, &path.display().to_string()),
            None => note(
                program,
                &format!("is not there ({use_}): install it, or the rootfs is made of this machine's programs"),
            ),
        }
    }
    // A compiler that does not find a library repeats its name.
    let library = cmd!("cc", "-print-file-name=libc.a").stdin_null().stderr_null().read().unwrap_or_default();
    if Path::new(&library).is_absolute() {
        ok("libc.a", &library);
    } else {
        note(
            "libc.a",
            "is not there (the escape from a chroot is linked to it): install libc6-dev, on Fedora glibc-static",
        );
    }
}

/// Is there a rootfs to run in, or can one be made?
fn places() -> bool {
    let root = workspace::root();
    if let Ok(disk) = statvfs(root) {
        // f_bavail counts in fragments, statvfs(3); on 32-bit machines both are u32.
        #[allow(clippy::useless_conversion)]
        let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size());
        let line = format!("{} MiB free in {}", free >> 20, root.display());
        if free < NEEDED_SPACE {
            note("disk", &format!("{line}: a build needs {}", NEEDED_SPACE >> 20))
        } else {
            ok("disk", &line)
        }
    }
    let ours = workspace::rootfs();
    let is_there = !rootfs::is_missing(&ours);
    let flaw = rootfs::flaw(&ours).filter(|_| is_there);
    match (&flaw, is_there, rootfs::stamp(&ours)) {
        (Some(flaw), ..) => fail("rootfs", &format!("{flaw}: `cargo xtask rootfs --force` makes it anew")),
        (None, false, _) => {
            ok("rootfs", "not there yet: `cargo xtask rootfs` makes it, and so does the first run of step 3")
        }
        (None, true, Some(stamp)) => ok("rootfs", &format!("made from {stamp}")),
        (None, true, None) => note("rootfs", "not of our making; `cargo xtask rootfs --force` replaces it"),
    }
    if !geteuid().is_root()
        && let Some(file) = [workspace::target(), ours].iter().find_map(|folder| owned_by_root(folder))
    {
        note(
            "root's files",
            &format!("such as {}: `sudo chown -R \"$(id -u):$(id -g)\" target rootfs`", file.display()),
        );
    }
    flaw.is_none()
}

/// A file of root's in a folder of ours, which a later build could not replace: the mark of a `sudo cargo`.
fn owned_by_root(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let metadata = entry.path().symlink_metadata().ok()?;
        if metadata.uid() == 0 {
            return Some(entry.path());
        }
        if metadata.is_dir() { owned_by_root(&entry.path()) } else { None }
    })
}
