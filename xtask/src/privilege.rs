//! How a command gets the rights it needs: root, a user namespace or sudo; and what to say if none of them will do.
//!
//! What a machine allows can't be read off its settings, only tried: a user namespace that can be made may still be
//! refused its maps, or the mounts. So [`probe`] walks the steps' own system calls in a child, and says which was refused.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, chroot, getegid, geteuid, sethostname};

/// A way to the rights that namespaces need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// We are root already.
    Root,
    /// A user namespace in which an ordinary user is root: user_namespaces(7).
    User,
    /// sudo(8), for the step's program alone.
    Sudo,
}

/// What the steps ask of the kernel, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// As strace prints it.
    pub call: &'static str,
    /// The number of the first step that makes this call; 0 for what only a user namespace needs.
    pub step: u32,
}

const STAGES: [Stage; 8] = [
    Stage { call: "unshare(CLONE_NEWUSER)", step: 0 },
    Stage { call: "write(\"/proc/self/uid_map\")", step: 0 },
    Stage { call: "unshare(CLONE_NEWUTS)", step: 1 },
    Stage { call: "sethostname(\"mini-docker\")", step: 1 },
    Stage { call: "unshare(CLONE_NEWPID|CLONE_NEWNS)", step: 2 },
    Stage { call: "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)", step: 3 },
    Stage { call: "chroot(\"/\")", step: 3 },
    Stage { call: "mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)", step: 4 },
];
/// The first stage that process 1 of the new PID namespace makes.
const INNER: usize = 5;

/// The hidden first argument with which this program probes.
pub const PROBE: &str = "--probe";

/// The first stage that was refused, and the errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was asked.
    pub stage: Stage,
    /// What the kernel said.
    pub errno: Errno,
}

impl Refused {
    /// Is the step of this number out of reach?
    pub fn bars(self, step: u32) -> bool {
        self.stage.step <= step
    }
}

/// Makes every call of the steps in a child process, as root or in a user namespace, and tells which was refused, if any.
/// Costs some milliseconds; whatever it made is gone with the child.
///
/// # Errors
/// When the child can't be started, or does not answer, as when sudo would ask for a password.
pub fn probe(privilege: Privilege) -> Result<Option<Refused>> {
    let kind = if privilege == Privilege::User { "user" } else { "root" };
    let mut command = Command::new("/proc/self/exe");
    if privilege == Privilege::Sudo {
        // -n: fail rather than ask for a password. To sudo, /proc/self/exe would be itself.
        command = Command::new("sudo");
        command.args(["-n", "--"]).arg(env::current_exe()?);
    }
    let output = command.args([PROBE, kind]).stdin(Stdio::null()).output().context("execve(\"/proc/self/exe\")")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((stage, errno)) = text.trim().split_once(' ') else {
        bail!("the probe of this machine's namespaces said {text:?} {}", String::from_utf8_lossy(&output.stderr));
    };
    let (stage, errno): (usize, i32) = (stage.parse()?, errno.parse()?);
    Ok(STAGES.get(stage).map(|&stage| Refused { stage, errno: Errno::from_raw(errno) }))
}

/// The child side of [`probe`]: prints the number of the first stage that failed and its errno.
pub fn probe_here(kind: &OsStr) -> ExitCode {
    let (stage, errno) = match climb(kind) {
        Ok(()) => (STAGES.len(), 0),
        Err((stage, errno)) => (stage, errno as i32),
    };
    println!("{stage} {errno}");
    ExitCode::SUCCESS
}

fn climb(kind: &OsStr) -> Result<(), (usize, Errno)> {
    let at = |stage: usize| move |errno: Errno| (stage, errno);
    if kind == "inner" {
        let proc_flags = proc_flags();
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
    let inner = Command::new("/proc/self/exe").args([PROBE, "inner"]).output();
    let inner = inner.map_err(|error| (4, errno_of(&error)))?;
    let answer = String::from_utf8_lossy(&inner.stdout);
    let answer =
        answer.trim().split_once(' ').and_then(|(stage, errno)| Some((stage.parse().ok()?, errno.parse().ok()?)));
    match answer {
        Some((stage, _)) if stage == STAGES.len() => Ok(()),
        Some((stage, errno)) => Err((stage, Errno::from_raw(errno))),
        None => Err((INNER, Errno::UnknownErrno)),
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// The flags of a /proc that the kernel lets us mount. In a user namespace a new /proc must keep the old one's atime flag,
/// which is noatime on WSL2: mount_namespaces(7).
pub fn proc_flags() -> MsFlags {
    let noatime = statvfs("/proc").is_ok_and(|proc| proc.flags().contains(FsFlags::ST_NOATIME));
    let mut flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_NOATIME, noatime);
    flags
}

/// Moves this process into a new user namespace, as its root. The process must have one thread.
///
/// # Errors
/// When the kernel refuses one of the calls, which the error names.
pub fn enter_user_namespace() -> Result<()> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).context("unshare(CLONE_NEWUSER)")?;
    write_maps(uid, gid).context("write(\"/proc/self/uid_map\")")
}

/// Who is who in our new user namespace: its root is the user outside. Before the next execve(2), which takes the
/// capabilities of a process without a name: user_namespaces(7).
fn write_maps(uid: u32, gid: u32) -> std::io::Result<()> {
    // Without this, an ordinary user may not write gid_map: who is in no group could lift its prohibitions.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))
}

/// Chooses a way by which the program of step `step` (a number) can run here; `wish` leaves only that one.
///
/// # Errors
/// When there is none. The error says which call was refused, and what would mend that.
pub fn choose(wish: Option<Privilege>, step: u32) -> Result<Privilege> {
    let barred = |privilege| -> Result<Option<Refused>> { Ok(probe(privilege)?.filter(|refused| refused.bars(step))) };
    let is_root = geteuid().is_root();
    match wish {
        Some(Privilege::Root) if !is_root => {
            bail!("--privilege root: you are not root. Use `--privilege sudo`, which builds as you and runs as root.")
        }
        Some(Privilege::Sudo) if on_path("sudo").is_none() => bail!("--privilege sudo: there is no sudo on the PATH"),
        Some(Privilege::Sudo) => Ok(Privilege::Sudo),
        Some(privilege) => match barred(privilege)? {
            None => Ok(privilege),
            Some(refused) => Err(explain(privilege, refused)),
        },
        None => {
            let first = if is_root { Privilege::Root } else { Privilege::User };
            let Some(refused) = barred(first)? else { return Ok(first) };
            if !is_root && on_path("sudo").is_some() {
                eprintln!("xtask: {}\nxtask: so this runs the program with sudo.", explain(first, refused));
                return Ok(Privilege::Sudo);
            }
            Err(explain(first, refused))
        }
    }
}

/// A refusal as an error: who, what, and what to do about it.
pub fn explain(privilege: Privilege, refused: Refused) -> anyhow::Error {
    let who = match privilege {
        Privilege::User => "a user namespace can't do this here",
        Privilege::Root | Privilege::Sudo => "root can't do this here",
    };
    anyhow!("{who}: {}: {}. {}", refused.stage.call, refused.errno, advice(privilege, refused))
}

/// What to do about a refusal, as a sentence with a command in it. The files it looks at only word it.
pub fn advice(privilege: Privilege, refused: Refused) -> String {
    let setting =
        |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default().trim().to_owned();
    let is = |name, value: &str| setting(name) == value;
    let user = privilege == Privilege::User;
    if user && is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "Ubuntu's AppArmor keeps user namespaces from programs it does not know: allow them until the next boot with \
                `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or use `--privilege sudo`."
            .into();
    }
    if user && is("kernel/unprivileged_userns_clone", "0") {
        return "This kernel keeps user namespaces from ordinary users: `sudo sysctl kernel.unprivileged_userns_clone=1`.".into();
    }
    if refused.errno == Errno::ENOSPC {
        return "A limit on namespaces is reached, see `sysctl user | grep namespaces`: \
                `sudo sysctl user.max_user_namespaces=15000` raises the usual one."
            .into();
    }
    match refused.errno {
        Errno::EINVAL if refused.stage.call.starts_with("mount(NULL") => {
            "Here `/` is no mount point: this is a chroot already. Leave it, or make it one: `mount --bind ROOT ROOT`.".into()
        }
        Errno::EINVAL | Errno::ENOSYS => {
            "This kernel is built without such namespaces. On Windows use WSL 2 (`wsl --set-version DISTRO 2`).".into()
        }
        Errno::EPERM if refused.stage.call.starts_with("mount(\"proc\"") && user => {
            "Something is mounted over parts of /proc, see `grep /proc /proc/self/mountinfo`, and a user namespace may not look \
             behind it: use `--privilege sudo`; or if this is a container, start it with `--privileged`."
                .into()
        }
        _ if container().is_some() => {
            "This is inside a container, which may forbid it: start that with `--privileged`, or use a virtual machine.".into()
        }
        _ if user => "Use `--privilege sudo`, or run this as root.".into(),
        _ => "This root lacks the capability CAP_SYS_ADMIN: see `grep CapEff /proc/self/status`.".into(),
    }
}

/// The container that we run in ourselves, if it is one of the known.
pub fn container() -> Option<&'static str> {
    // Each leaves its mark: docker, podman, systemd-nspawn and lxc.
    if Path::new("/.dockerenv").exists() {
        return Some("a Docker container");
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("a Podman container");
    }
    let kind = fs::read_to_string("/run/systemd/container").unwrap_or_default();
    (!kind.is_empty() || env::var_os("container").is_some()).then_some("a container")
}

/// Where the program `name` is on the PATH.
pub fn on_path(name: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH")?;
    // sbin too: Debian leaves it out of an ordinary user's PATH.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The exit status a shell would report: the program's own, or 128 + n after signal n.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125);
    ExitCode::from(code as u8)
}

/// From now on, die with the thread that started us.
pub(crate) fn die_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("prctl(PR_SET_PDEATHSIG, SIGKILL)")
}
