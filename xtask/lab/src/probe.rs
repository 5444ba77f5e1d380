//! Tries the steps' own system calls, in a child process, and returns the first that the kernel refuses.
//!
//! What a machine allows can't be read off its settings: a user namespace that can be made may still be refused its maps,
//! or the mounts.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, chroot, getegid, geteuid, sethostname};

use crate::host::proc_flags;
use crate::privilege::{Privilege, write_maps};

/// One of the steps' system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// As strace prints it.
    pub text: &'static str,
    /// The number of the first step that makes it; 0 for what only a user namespace needs.
    pub step: u32,
}

const CALLS: [Call; 8] = [
    Call { text: "unshare(CLONE_NEWUSER)", step: 0 },
    Call { text: "write(\"/proc/self/uid_map\")", step: 0 },
    Call { text: "unshare(CLONE_NEWUTS)", step: 1 },
    Call { text: "sethostname(\"mini-docker\")", step: 1 },
    Call { text: "unshare(CLONE_NEWPID|CLONE_NEWNS)", step: 2 },
    Call { text: "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)", step: 3 },
    Call { text: "chroot(\"/\")", step: 3 },
    Call { text: "mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)", step: 4 },
];
/// The first call that process 1 of the new PID namespace makes.
const FIRST_INSIDE: usize = 5;

/// The hidden first argument with which a program of ours is started as a probe.
const PROBE: &str = "--probe";

/// The first call that was refused, and the errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub call: Call,
    /// What the kernel answered.
    pub errno: Errno,
}

impl Refusal {
    /// True if the step of this number needs the call.
    pub fn bars(self, step: u32) -> bool {
        self.call.step <= step
    }
}

/// Makes every call of the steps in a child process that gets its rights from `privilege`, and returns the first that was
/// refused. Takes some milliseconds, and everything that it makes is gone with the child.
///
/// # Errors
/// When the child can't be started, or doesn't answer. sudo must not have to ask for a password.
pub fn probe(privilege: Privilege) -> Result<Option<Refusal>> {
    let kind = if privilege == Privilege::User { "user" } else { "root" };
    let mut command = Command::new("/proc/self/exe");
    if privilege == Privilege::Sudo {
        // To sudo, /proc/self/exe would be sudo itself.
        command = Command::new("sudo");
        command.args(["-n", "--"]).arg(env::current_exe()?);
    }
    let output = command.args([PROBE, kind]).stdin(Stdio::null()).output().context("execve(\"/proc/self/exe\")")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((call, errno)) = answer(&text) else {
        bail!("the probe of this machine's namespaces printed {text:?} {}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(CALLS.get(call).map(|&call| Refusal { call, errno: Errno::from_raw(errno) }))
}

fn answer(text: &str) -> Option<(usize, i32)> {
    let (call, errno) = text.trim().split_once(' ')?;
    Some((call.parse().ok()?, errno.parse().ok()?))
}

/// The child's side of [`probe`]: prints the index of the call that failed, or the number of calls, and the errno.
pub fn reexec() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    let kind = (args.next()? == PROBE).then(|| args.next())??;
    let (call, errno) = match climb(&kind) {
        Ok(()) => (CALLS.len(), 0),
        Err((call, errno)) => (call, errno as i32),
    };
    println!("{call} {errno}");
    Some(ExitCode::SUCCESS)
}

fn climb(kind: &OsStr) -> Result<(), (usize, Errno)> {
    let at = |call: usize| move |errno: Errno| (call, errno);
    if kind == "inside" {
        let proc_flags = proc_flags() | MsFlags::MS_RDONLY;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).map_err(at(5))?;
        chroot("/").and_then(|()| chdir("/")).map_err(at(6))?;
        return mount(Some("proc"), "/proc", Some("proc"), proc_flags, None::<&str>).map_err(at(7));
    }
    if kind == "user" {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(at(0))?;
        write_maps(uid, gid).map_err(|error| (1, errno_of(&error)))?;
    }
    unshare(CloneFlags::CLONE_NEWUTS).map_err(at(2))?;
    sethostname("mini-docker").map_err(at(3))?;
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS).map_err(at(4))?;
    let inside = Command::new("/proc/self/exe").args([PROBE, "inside"]).output();
    let inside = inside.map_err(|error| (4, errno_of(&error)))?;
    match answer(&String::from_utf8_lossy(&inside.stdout)) {
        Some((call, _)) if call == CALLS.len() => Ok(()),
        Some((call, errno)) => Err((call, Errno::from_raw(errno))),
        None => Err((FIRST_INSIDE, Errno::UnknownErrno)),
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}
