//! The throwaway host: a small machine made of namespaces.
//!
//! It is named `host`, its `/` is shared as under systemd, and it has an init and eight daemons that do nothing. What a
//! program on it renames, mounts or leaves running is gone when its command ends. Its files are the real machine's, so what a
//! program writes or removes there is permanent. An ordinary user can make one, because it is in a user namespace.
//!
//! ```text
//! xtask host           unshare(USER|UTS|IPC|NS|PID), maps, `/` private and then shared, sethostname; waits for:
//! ├─ /sbin/init        process 1: mounts its /proc, starts the daemons, reaps; dies with its parent, and everything with it
//! │  ├─ /sbin/journald
//! │  └─ …
//! └─ COMMAND           born in the same namespaces
//! ```

use std::env;
use std::ffi::{CString, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_name;
use nix::sys::wait::wait;
use nix::unistd::{geteuid, pause, sethostname};

use crate::{mountinfo, privilege, process};

/// The hostname of the throwaway host.
pub const HOSTNAME: &str = "host";
/// The name of its process 1.
const INIT: &str = "/sbin/init";
/// The names of its other processes. They take the low process numbers, as on any machine.
const DAEMONS: &str = "/sbin/journald /sbin/udevd /sbin/networkd /sbin/dbus-daemon /sbin/cron /sbin/logind /sbin/rsyslogd \
    /sbin/timesyncd";

/// The programs that will run on a throwaway host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guests {
    /// Our own programs, which share the machine's network.
    Trusted,
    /// Anyone's programs, with a network that leads nowhere and a limited number of processes.
    Untrusted,
}

/// The number of PIDs on a host of untrusted guests. After all have been used once, those below 300 aren't used again.
const PID_MAX: &str = "400";

/// Moves this process into the namespaces of a new throwaway host, and starts the host's process 1. `user` makes it in a user
/// namespace, and `prepare` is called in the namespaces before anything is started there. This process must have one thread.
/// An error names the call that the kernel refused.
pub fn build(user: bool, guests: Guests, prepare: impl FnOnce() -> Result<()>) -> Result<Child> {
    process::reset_signals()?;
    if geteuid().is_root() {
        hide_other_procs()?;
    }
    if user {
        privilege::enter_user_namespace()?;
    }
    // Message queues and shared memory would outlive the host, too.
    let own = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    unshare(own).context("unshare(CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWNS|CLONE_NEWPID)")?;
    if guests == Guests::Untrusted {
        unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    }
    sethostname(HOSTNAME).context("sethostname")?;
    // Leave the real machine's peer group first, or what is mounted here would appear there. Then start one of our own.
    make_mounts_private()?;
    propagate(MsFlags::MS_SHARED).context("mount(NULL, \"/\", NULL, MS_REC|MS_SHARED, NULL)")?;
    prepare()?;
    let mut init = Command::new("/proc/self/exe");
    init.arg0(INIT).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    init.envs((guests == Guests::Untrusted).then_some(("PID_MAX", PID_MAX)));
    let mut init = init.spawn().context("starting the throwaway host's init")?;
    let mut answer = String::new();
    BufReader::new(init.stdout.take().context("init has no stdout")?).read_line(&mut answer)?;
    ensure!(answer == "ready\n", "{}", if answer.is_empty() { "the host's init died" } else { answer.trim() });
    Ok(init)
}

/// Moves this process to a copy of its mount namespace, in which it can mount without any other process seeing it.
///
/// # Errors
/// If the kernel refuses.
pub fn copy_mount_namespace() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("unshare(CLONE_NEWNS)")?;
    make_mounts_private()
}

/// Takes every mount out of its peer group: mount_namespaces(7).
///
/// # Errors
/// If the kernel refuses.
pub fn make_mounts_private() -> Result<()> {
    propagate(MsFlags::MS_PRIVATE).context("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)")
}

pub(crate) fn propagate(propagation: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | propagation, None::<&str>)
}

/// Unmounts every proc file system except /proc, in a mount namespace of this process. The kernel lets a user namespace mount
/// a /proc if any that is visible allows it, so one that was left somewhere would change what programs here may do.
fn hide_other_procs() -> Result<()> {
    let mut others = mountinfo::own()?;
    others.retain(|mount| mount.kind == "proc" && !mount.point.starts_with("/proc"));
    if others.is_empty() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
        return Ok(());
    }
    make_mounts_private()?;
    others.iter().try_for_each(|mount| {
        let point = &mount.point;
        umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("umount2({point:?}, MNT_DETACH)"))
    })
}

/// Returns the environment of a command on a throwaway host: the same for everyone, with the directories in `programs` first on
/// its PATH. Call it before [`build`], because afterwards this process has no /proc/self.
pub fn environment(programs: &[PathBuf]) -> Result<Vec<(&'static str, OsString)>> {
    let mut path = programs.to_owned();
    path.extend(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    // Last, on a machine whose programs are elsewhere, such as NixOS.
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut environment = vec![
        ("PATH", env::join_paths(path).context("the path of the target directory has a colon in it")?),
        ("TERM", env::var_os("TERM").unwrap_or_else(|| "dumb".into())),
        // Not the user's, because a shell would read its start files there.
        ("HOME", "/".into()),
        ("LC_ALL", "C".into()),
        ("PS1", r"root@\h:\w# ".into()),
    ];
    // So that cargo works there, too.
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"), ("XDG_CACHE_HOME", ".cache")] {
        let in_home = || env::var_os("HOME").map(|home| Path::new(&home).join(default).into());
        environment.extend(env::var_os(name).or_else(in_home).map(|value| (name, value)));
    }
    Ok(environment)
}

/// Runs the host's init or one of its daemons, if this process was started as that. It ends by a signal.
pub(crate) fn reexec() -> Option<ExitCode> {
    let name = env::args_os().next()?.into_string().ok()?;
    if name != INIT && !DAEMONS.split(' ').any(|daemon| name == daemon) {
        return None;
    }
    let _ = set_name(&CString::new(name.strip_prefix("/sbin/")?).ok()?);
    if name == INIT {
        let answer = start_daemons().map_or_else(|error| format!("{error:#}"), |()| "ready".into());
        if writeln!(io::stdout(), "{answer}").is_err() {
            // Our parent died before we asked to die with it.
            return Some(ExitCode::FAILURE);
        }
    }
    loop {
        // Init reaps the host's orphans. Without a child there can be none, and a daemon has none.
        if wait() == Err(Errno::ECHILD) {
            pause();
        }
    }
}

/// Prepares the host from its process 1: mounts its own /proc, and starts the daemons.
fn start_daemons() -> Result<()> {
    process::die_with_parent()?;
    mount(Some("proc"), "/proc", Some("proc"), proc_flags(), None::<&str>)
        .context("mount(\"proc\", \"/proc\", \"proc\")")?;
    // Since Linux 6.14 each PID namespace has its own; before, this would be the machine's.
    if let Some(most) = env::var_os("PID_MAX")
        && kernel_is_at_least(6, 14)
    {
        fs::write("/proc/sys/kernel/pid_max", most.as_encoded_bytes())
            .context("write(\"/proc/sys/kernel/pid_max\")")?;
    }
    for daemon in DAEMONS.split(' ') {
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().arg0(daemon).stdin(Stdio::null()).stdout(Stdio::null()).spawn().context(daemon)?;
    }
    Ok(())
}

/// Returns the flags with which the kernel lets us mount a /proc. In a user namespace it must have the old one's atime flags:
/// mount_namespaces(7).
pub fn proc_flags() -> MsFlags {
    let mounts = mountinfo::own().unwrap_or_default();
    let old = mounts.iter().rfind(|mount| mount.point == Path::new("/proc"));
    let has = |option: &str| old.map_or(option == "relatime", |mount| mount.has_option(option));
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_NOATIME, has("noatime"));
    flags.set(MsFlags::MS_NODIRATIME, has("nodiratime"));
    flags.set(MsFlags::MS_STRICTATIME, !has("noatime") && !has("relatime"));
    flags
}

/// True if this Linux has at least that version.
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|it| it.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}
