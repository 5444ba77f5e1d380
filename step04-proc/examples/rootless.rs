//! Rootless: without being root.
//!
//! New since step 4: a user namespace first. An ordinary user may make that one, and is root in it, so that all the others can
//! be made in it. user_namespaces(7).
//!
//!     cargo xtask check rootless

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{chdir, chroot, getegid, geteuid, getpgrp, sethostname, tcgetpgrp, tcsetpgrp};

const NAME: &str = env!("CARGO_BIN_NAME");

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match args.as_slice() {
        [mode, program, args @ ..] if mode == "run" => parent(program, args),
        [mode, program, args @ ..] if mode == "child" => child(program, args),
        _ => Ok(fail(2, &format!("usage: {NAME} run COMMAND [ARG...]"))),
    };
    let status = result.unwrap_or_else(|error| {
        let cure = match error.downcast_ref() {
            Some(Errno::EPERM) => "; this machine allows no user namespace: `cargo xtask doctor` says why",
            Some(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {
                "; is ./rootfs whole? `cargo xtask rootfs` makes one in the project's folder, and with --force anew"
            }
            _ => "",
        };
        fail(125, &format!("{error:#}{cure}"))
    });
    ExitCode::from(status as u8)
}

/// Host side: leaves the host's namespaces, then runs this same program as `child` and waits for it.
fn parent(program: &OsStr, args: &[OsString]) -> Result<i32> {
    // Asked before: until the maps are written, we are nobody in there.
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).context("unshare(CLONE_NEWUSER)")?;
    // Who is in no group could lift a prohibition that holds for one: so setgroups(2) goes first, or gid_map is EPERM. And
    // all before the next execve(2), where somebody unmapped loses the capabilities that unshare gave.
    for (file, line) in
        [("setgroups", "deny".to_owned()), ("gid_map", format!("0 {gid} 1")), ("uid_map", format!("0 {uid} 1"))]
    {
        fs::write(format!("/proc/self/{file}"), line).with_context(|| format!("write(\"/proc/self/{file}\")"))?;
    }
    // CLONE_NEWPID does not move us: a process keeps the PID it was born with. It decides where our next child is born.
    unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)
        .context("unshare(CLONE_NEWUTS|CLONE_NEWPID|CLONE_NEWNS)")?;
    // The child has work to do before the command starts, and Rust has no safe fork: so it is this same program again.
    let mut child = Command::new("/proc/self/exe")
        .arg("child")
        .arg(program)
        .args(args)
        // Here, and not for the command alone: what process 1 was started with can be read in /proc/1/environ.
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(env::var_os("TERM").map(|term| ("TERM", term)))
        .spawn()
        .context("execve(\"/proc/self/exe\")")?;
    // Ctrl-C reaches all that is in the terminal's foreground, so us, too. What it means is for the command to say.
    if tcgetpgrp(io::stdin()) == Ok(getpgrp()) {
        SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block().context("rt_sigprocmask(SIG_BLOCK)")?;
    }
    let status = child.wait().context("wait4")?;
    take_back_terminal();
    Ok(shell_status(status))
}

/// Container side, PID 1 of the new PID namespace: moves in, starts the command and reaps until it ends.
fn child(program: &OsStr, args: &[OsString]) -> Result<i32> {
    // If `run` dies, so do we, even of a SIGKILL that it can't pass on. Only then see whether it still lives.
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")?;
    ensure!(parent_is_run()?, "`child` is for `run` to start; type `run`");
    sethostname("mini-docker").context("sethostname(\"mini-docker\")")?;
    // A copy of a shared mount is shared too, and systemd shares `/`: what is mounted in here would show on the host.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)")?;
    // In a user namespace a new /proc must have the old one's atime flag, or it is EPERM. On WSL2 that is noatime.
    let noatime = statvfs("/proc").is_ok_and(|proc| proc.flags().contains(FsFlags::ST_NOATIME));
    chroot("./rootfs").context("chroot(\"./rootfs\")")?;
    // chroot moves only the root. As long as our working directory is outside of it, `..` leads further out.
    chdir("/").context("chdir(\"/\")")?;
    // It shows the PID namespace of the process that mounts it, so ours. The flags are what runtimes use, and read-only
    // besides, for /proc/sys is not ours: there a real root would change the host's kernel.
    let mut flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_NOATIME, noatime);
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .context("mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)")?;

    let mut command = match Command::new(program).args(args).spawn() {
        Ok(command) => command,
        Err(error) => return Ok(not_started(program, &error)),
    };
    let status = loop {
        // WNOWAIT only looks, so that the command is left for std to collect.
        let dead = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).ok().and_then(|dead| dead.pid());
        if let Some(status) = command.try_wait().context("wait4")? {
            break status;
        }
        // Orphans become children of process 1, and nobody else can reap them. (None, any child: nix knows no pid for one
        // that a real-time signal killed. WNOHANG: nor for none at all, if waitid failed.)
        let _ = waitpid(dead, Some(WaitPidFlag::WNOHANG));
    };
    // When we return, process 1 ends, and the kernel kills whatever is left in its namespace.
    Ok(shell_status(status))
}

/// Is our parent this same program? Not if `child` was typed by hand; nor if `run` was killed and an init took us in.
/// getppid(2) answers 0 for a parent outside our PID namespace, but /proc is the host's and numbers us as the host does.
fn parent_is_run() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("open(\"/proc/self/status\")")?;
    let parent_id = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap_or_default();
    let parent = fs::read_link(format!("/proc/{parent_id}/exe")).context("readlink(\"/proc/PPID/exe\")")?;
    Ok(parent == env::current_exe().context("readlink(\"/proc/self/exe\")")?)
}

/// An interactive shell moves the terminal to its own process group. At its end it can't give it back to ours, which has
/// no number in its PID namespace, and a terminal held by a dead group fails every read with EIO.
fn take_back_terminal() {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| killpg(group, None) == Err(Errno::ESRCH)) {
        // We ask from the background, which stops the asker (SIGTTOU) unless it blocks that.
        let _ = SigSet::from(Signal::SIGTTOU).thread_block();
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
}

/// As a shell counts: the command's own status, or 128 + n if signal n killed it.
fn shell_status(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125)
}

/// As a shell counts: 127 if there is no such command (or no interpreter for it), 126 if it can't be executed.
fn not_started(program: &OsStr, error: &io::Error) -> i32 {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let (status, meaning) = match errno {
        Errno::ENOENT => (127, "; there is no such command in here"),
        Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE => (125, ""),
        _ => (126, ""),
    };
    fail(status, &format!("execve({program:?}): {errno}{meaning}"))
}

/// Says why on stderr, in one write, so that the line stays whole when the command writes there too.
fn fail(status: i32, why: &str) -> i32 {
    let _ = io::stderr().write_all(format!("{NAME}: {why}\n").as_bytes());
    status
}
