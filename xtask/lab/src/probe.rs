//! Tries the steps' own system calls, in a child process, and returns the first that the kernel refuses.
//!
//! A machine's settings don't show what it allows: it may allow a user namespace and still refuse its maps, or mounts in it.

use std::env;
use std::io;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chroot, getegid, geteuid, sethostname};

use crate::host::{proc_flags, propagate};
use crate::privilege::{Privilege, write_maps};

/// Makes a call. The arguments are the user and the group of this process when it started.
type Make = fn(u32, u32) -> io::Result<()>;

/// The steps' system calls, as strace prints them, with the number of the first step that makes each; 0 for what only a user
/// namespace needs.
const CALLS: [(&str, u32, Make); 8] = [
    ("unshare(CLONE_NEWUSER)", 0, |_, _| Ok(unshare(CloneFlags::CLONE_NEWUSER)?)),
    ("write(\"/proc/self/uid_map\")", 0, write_maps),
    ("unshare(CLONE_NEWUTS)", 1, |_, _| Ok(unshare(CloneFlags::CLONE_NEWUTS)?)),
    ("sethostname(\"mini-docker\")", 1, |_, _| Ok(sethostname("mini-docker")?)),
    ("unshare(CLONE_NEWPID|CLONE_NEWNS)", 2, |_, _| Ok(unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?)),
    ("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)", 3, |_, _| Ok(propagate(MsFlags::MS_PRIVATE)?)),
    ("chroot(\"/\")", 3, |_, _| Ok(chroot("/")?)),
    ("mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)", 4, |_, _| {
        Ok(mount(Some("proc"), "/proc", Some("proc"), proc_flags() | MsFlags::MS_RDONLY, None::<&str>)?)
    }),
];
/// The first call that root makes.
const FIRST_OF_ROOT: usize = 2;
/// The first call that process 1 of the new PID namespace makes.
const FIRST_INSIDE: usize = 5;

/// The hidden first argument with which a program of ours is started as a probe.
const PROBE: &str = "--probe";

/// The first call that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The call, as strace prints it.
    pub call: &'static str,
    /// The number of the first step that makes it; 0 for what only a user namespace needs.
    pub step: u32,
    /// What the kernel answered.
    pub errno: Errno,
}

/// Makes every call of the steps in a child process that gets its rights from `privilege`, and returns the first that was
/// refused. Takes some milliseconds, and everything that it makes is gone with the child. sudo must not have to ask for a
/// password.
pub fn probe(privilege: Privilege) -> Result<Option<Refusal>> {
    let mut command = Command::new("/proc/self/exe");
    if privilege == Privilege::Sudo {
        // To sudo, /proc/self/exe would be sudo itself.
        command = Command::new("sudo");
        command.args(["-n", "--"]).arg(env::current_exe()?);
    }
    let first = if privilege == Privilege::User { 0 } else { FIRST_OF_ROOT };
    let (index, errno) = answer(command, first).context("the probe of this machine's namespaces")?;
    Ok(CALLS.get(index).map(|&(call, step, _)| Refusal { call, step, errno: Errno::from_raw(errno) }))
}

/// Starts a probe that begins with the call `first`, and returns the index of the call that failed, or the number of calls,
/// and the errno.
fn answer(mut command: Command, first: usize) -> io::Result<(usize, i32)> {
    let output = command.args([PROBE, &first.to_string()]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.trim().split_once(' ').and_then(|(call, errno)| Some((call.parse().ok()?, errno.parse().ok()?)));
    numbers.ok_or_else(|| io::Error::other(format!("it printed {text:?} {}", String::from_utf8_lossy(&output.stderr))))
}

/// The child's side of [`probe`].
pub fn reexec() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    let first = (args.next()? == PROBE).then(|| args.next())??.to_str()?.parse().ok()?;
    let (call, errno) = climb(first).err().unwrap_or((CALLS.len(), 0));
    println!("{call} {errno}");
    Some(ExitCode::SUCCESS)
}

fn climb(first: usize) -> Result<(), (usize, i32)> {
    let at = |index| move |error: io::Error| (index, error.raw_os_error().unwrap_or_default());
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let last = if first < FIRST_INSIDE { FIRST_INSIDE } else { CALLS.len() };
    for (index, (.., make)) in CALLS.iter().enumerate().take(last).skip(first) {
        make(uid, gid).map_err(at(index))?;
    }
    if last == CALLS.len() {
        return Ok(());
    }
    match answer(Command::new("/proc/self/exe"), FIRST_INSIDE).map_err(at(FIRST_INSIDE - 1))? {
        (index, _) if index == CALLS.len() => Ok(()),
        refused => Err(refused),
    }
}
