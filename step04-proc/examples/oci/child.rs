//! In the container: the process that moves in, and then becomes the command. As in the steps, the order is everything.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::pty::{posix_openpt, ptsname_r, unlockpt};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::{set_dumpable, set_keepcaps, set_no_new_privs};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, Gid, Uid, access, chdir, close, fchdir, fchown, pivot_root, sethostname, setsid};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setgroups, setresgid, setresuid};
use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use crate::container::{Container, list, number, open, text};
use crate::{Line, mounts};

/// The namespaces: in config.json, in /proc/PID/ns, and for setns. The last is the mount namespace, because after it the host's
/// files are gone. The PID namespace is not here, because only a new process can be in it from birth.
const NAMESPACES: [(&str, &str, CloneFlags); 5] = [
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", "ipc", CloneFlags::CLONE_NEWIPC),
    ("network", "net", CloneFlags::CLONE_NEWNET),
    ("cgroup", "cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("mount", "mnt", CloneFlags::CLONE_NEWNS),
];

/// Where a command is looked for if its environment has no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Moves in, and becomes the command. Returns only after it has reported why it couldn't, through the pipe or the fifo.
pub fn child(line: &Line, mode: &str, directory: &Path, pipe: &str, args: &[&str]) -> Result<u8> {
    let pipe: RawFd = pipe.parse().context("`child` is started by `create` and `exec`")?;
    // Opened again, so that a successful execve(2) closes it.
    let report = File::options().write(true).open(format!("/proc/self/fd/{pipe}")).context("open(pipe)")?;
    close_others(line, &report)?;
    let mut report = Some(report);
    let mut prepare = || -> Result<Infallible> {
        // Open now: later, the host's files are out of reach.
        let host = open(directory)?;
        let mut command = match mode {
            "create" => build(line, directory)?,
            _ => join(line, directory, args)?,
        };
        if mode == "create" {
            // The end of the pipe tells `create` that we are ready.
            report = None;
            // This waits until someone reads from the fifo.
            let door = openat(&host, "start", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
            report = Some(door.context("openat(\"start\")")?.into());
        }
        // A command named /proc/self/fd/N/… would be one of the host's.
        drop(host);
        let error = command.exec();
        Err(not_started(command.get_program().as_ref(), Errno::from_raw(error.raw_os_error().unwrap_or_default())))
    };
    let Err(error) = prepare();
    let _ = report.map(|mut report| report.write_all(format!("{error:#}").as_bytes()));
    Ok(1)
}

/// Closes every descriptor that the command isn't meant to have. The caller's may lead to the host's files.
fn close_others(line: &Line, report: &File) -> Result<()> {
    let preserved: RawFd = line.get("--preserve-fds").unwrap_or("0").parse().context("--preserve-fds")?;
    let entries = fs::read_dir("/proc/self/fd").context("open(\"/proc/self/fd\")")?;
    let open: Vec<RawFd> = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd >= 3 + preserved && *fd != report.as_raw_fd()) {
        let _ = close(fd);
    }
    Ok(())
}

/// Builds a container around this process, as config.json describes it.
fn build(line: &Line, directory: &Path) -> Result<Command> {
    let container = Container::read(directory)?;
    let config = container.config()?;
    let process = config.get("process").context("config.json has no process")?;
    container.join_cgroup()?;
    if let Some(score) = process["oomScoreAdj"].as_i64() {
        fs::write("/proc/self/oom_score_adj", score.to_string()).context("write(\"/proc/self/oom_score_adj\")")?;
    }
    let console = connect(line)?;
    let sources = mounts::sources(&config, &container.bundle)?;
    let root = container.bundle.join(text(&config, "/root/path").context("config.json has no root.path")?);

    setsid().context("setsid")?;
    enter_namespaces(&config)?;
    if let Some(name) = text(&config, "/hostname") {
        sethostname(name).with_context(|| format!("sethostname({name:?})"))?;
    }
    for (name, value) in config.pointer("/linux/sysctl").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(&path, value.as_str().unwrap_or_default()).with_context(|| format!("write({path:?})"))?;
    }
    // The mode of what we make must not depend on the caller.
    umask(Mode::empty());
    // ANCHOR: moment
    let host = open("/")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)")?;
    // The new root must be a mount point.
    mount(Some(&root), &root, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("mount({root:?}, {root:?}, NULL, MS_BIND|MS_REC, NULL)"))?;
    chdir(&root).with_context(|| format!("chdir({root:?})"))?;
    pivot_root(".", ".").context("pivot_root(\".\", \".\")")?;
    fchdir(&host).context("fchdir(host)")?;
    drop(host);
    // Until umount2, `/x` is the container's and `x` is the host's: a path leads to one of them, and a symbolic link in the image
    // stays in the image.
    for (mount, source) in list(&config, "/mounts").zip(sources) {
        mounts::attach(mount, source)?;
    }
    mounts::make_devices(&config)?;
    open_terminal(console, process, mounts::attach_console)?;
    mounts::protect(&config)?;
    umount2(".", MntFlags::MNT_DETACH).context("umount2(\".\", MNT_DETACH)")?;
    mounts::protect_root(&config)?;
    // ANCHOR_END: moment
    chdir("/").context("chdir(\"/\")")?;
    become_user(process)?;
    command(process)
}

/// Joins a container, and prepares another command there. `args` replaces the container's own, unless --process names a file.
fn join(line: &Line, directory: &Path, args: &[&str]) -> Result<Command> {
    let container = Container::read(directory)?;
    let mut process = match line.get("--process") {
        Some(path) => serde_json::from_reader(open(path)?).with_context(|| format!("reading {path:?}"))?,
        None => container.config()?["process"].take(),
    };
    if !args.is_empty() {
        process["args"] = json!(args);
        process["terminal"] = json!(false);
    }
    let console = connect(line)?;
    container.join_cgroup()?;
    setsid().context("setsid")?;
    let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    let pid = container.pid.to_string();
    // One that is ours already may not be ours to join.
    let others = NAMESPACES.into_iter().filter(|(_, name, _)| link(&pid, name) != link("self", name));
    let paths: Vec<_> = others.map(|(_, name, flag)| (format!("/proc/{pid}/ns/{name}"), flag)).collect();
    // Open all of them before the first is joined.
    let files = paths.iter().map(|(path, _)| open(path)).collect::<Result<Vec<_>>>()?;
    for (file, (path, flag)) in files.into_iter().zip(&paths) {
        setns(file, *flag).with_context(|| format!("setns({path:?})"))?;
    }
    umask(Mode::empty());
    open_terminal(console, &process, |_| Ok(()))?;
    become_user(&process)?;
    command(&process)
}

/// Makes a namespace of each kind that config.json lists, or joins the one that it names by a path. That is all a Pod is.
fn enter_namespaces(config: &Value) -> Result<()> {
    let mut new = CloneFlags::empty();
    for (kind, _, flag) in NAMESPACES {
        let listed = list(config, "/linux/namespaces").find(|it| text(it, "/type") == Some(kind));
        match listed.map(|it| text(it, "/path")) {
            Some(Some(path)) => setns(open(path)?, flag).with_context(|| format!("setns({path:?})"))?,
            Some(None) => new |= flag,
            None => {}
        }
    }
    unshare(new).with_context(|| format!("unshare({new:?})"))
}

/// Connects to the socket at which the caller waits for our terminal.
fn connect(line: &Line) -> Result<Option<UnixStream>> {
    let connect = |path| UnixStream::connect(path).with_context(|| format!("connect({path:?})"));
    line.get("--console-socket").map(connect).transpose()
}

/// Makes a terminal, becomes its session's leader, and sends the other end to the caller.
fn open_terminal(console: Option<UnixStream>, process: &Value, attach: impl Fn(&File) -> Result<()>) -> Result<()> {
    let (wanted, console) = (process["terminal"] == json!(true), console);
    let (true, Some(console)) = (wanted, &console) else {
        ensure!(!wanted, "process.terminal needs --console-socket");
        return Ok(());
    };
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).context("open(\"/dev/ptmx\")")?;
    unlockpt(&master).context("ioctl(TIOCSPTLCK)")?;
    let name = ptsname_r(&master).context("ioctl(TIOCGPTN)")?;
    // setsid took our terminal away, and the first one that we open becomes ours.
    let slave = File::options().read(true).write(true).open(&name).with_context(|| format!("open({name:?})"))?;
    let user = number(process, "/user/uid").map(|uid| Uid::from_raw(uid as u32));
    fchown(&slave, user, None).context("fchown(terminal)")?;
    let (descriptors, mut space) = ([master.as_fd()], [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))]);
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(console, &[IoSlice::new(name.as_bytes())], &mut message, SendFlags::empty())
        .context("sendmsg(SCM_RIGHTS)")?;
    dup2_stdin(&slave).and_then(|()| dup2_stdout(&slave)).and_then(|()| dup2_stderr(&slave)).context("dup2")?;
    attach(&slave)
}

/// Gives up what the command isn't meant to have: limits, capabilities, and being root.
fn become_user(process: &Value) -> Result<()> {
    for limit in list(process, "/rlimits") {
        let name = text(limit, "/type").unwrap_or_default();
        let resource = LIMITS.iter().find(|it| format!("{it:?}") == name);
        let (soft, hard) = (number(limit, "/soft").unwrap_or(0), number(limit, "/hard").unwrap_or(0));
        setrlimit(*resource.with_context(|| format!("there is no limit {name:?}"))?, soft, hard)
            .with_context(|| format!("setrlimit({name}, {soft}, {hard})"))?;
    }
    let cwd = text(process, "/cwd").unwrap_or("/");
    // Not chdir, which would follow a link in /proc to a directory of the host.
    let directory = mounts::open_inside(cwd.as_ref()).with_context(|| format!("openat2({cwd:?})"))?;
    fchdir(directory).with_context(|| format!("fchdir({cwd:?})"))?;
    // Otherwise another process of a Pod could open our descriptors through /proc.
    set_dumpable(false).context("prctl(PR_SET_DUMPABLE, 0)")?;

    let permitted = caps::read(None, CapSet::Permitted).context("capget")?;
    let wanted = |set: &str| -> CapsHashSet {
        let names = list(process, &format!("/capabilities/{set}"));
        let known = names.filter_map(|name| name.as_str()?.parse::<Capability>().ok());
        known.filter(|it| permitted.contains(it)).collect()
    };
    let bounding = caps::read(None, CapSet::Bounding).context("prctl(PR_CAPBSET_READ)")?;
    for capability in bounding.difference(&wanted("bounding")) {
        caps::drop(None, CapSet::Bounding, *capability).context("prctl(PR_CAPBSET_DROP)")?;
    }
    // Otherwise leaving user 0 would empty the permitted set.
    set_keepcaps(true).context("prctl(PR_SET_KEEPCAPS, 1)")?;
    let groups: Vec<Gid> =
        list(process, "/user/additionalGids").filter_map(|it| Some(Gid::from_raw(it.as_u64()? as u32))).collect();
    match setgroups(&groups) {
        // An ordinary user's namespace may not allow even this.
        Err(Errno::EPERM) if groups.is_empty() => {}
        result => result.context("setgroups")?,
    }
    let id = |name| number(process, name).unwrap_or(0) as u32;
    let (uid, gid) = (Uid::from_raw(id("/user/uid")), Gid::from_raw(id("/user/gid")));
    setresgid(gid, gid, gid).with_context(|| format!("setresgid({gid})"))?;
    setresuid(uid, uid, uid).with_context(|| format!("setresuid({uid})"))?;
    for (set, name) in
        [(CapSet::Inheritable, "inheritable"), (CapSet::Effective, "effective"), (CapSet::Permitted, "permitted")]
    {
        caps::set(None, set, &wanted(name)).with_context(|| format!("capset({name})"))?;
    }
    for capability in wanted("ambient") {
        // buildah asks for some that the kernel refuses, because they aren't inheritable.
        let _ = caps::raise(None, CapSet::Ambient, capability);
    }
    if process["noNewPrivileges"] == json!(true) {
        set_no_new_privs().context("prctl(PR_SET_NO_NEW_PRIVS, 1)")?;
    }
    umask(Mode::from_bits_truncate(number(process, "/user/umask").unwrap_or(0o022) as u32));
    Ok(())
}

/// Finds the program, so that `create` can already report that there is none. What can't be seen now is found by execve(2).
fn command(process: &Value) -> Result<Command> {
    let mut words = list(process, "/args").filter_map(Value::as_str);
    let name = words.next().context("config.json has no process.args")?;
    let variables = list(process, "/env").filter_map(|it| it.as_str()?.split_once('='));
    let path = variables.clone().filter(|(name, _)| *name == "PATH").last().map_or(PATH, |(_, path)| path);
    // A name with a slash isn't looked for.
    let path = if name.contains('/') { "" } else { path };
    let mut errno = Errno::ENOENT;
    for file in path.split(':').map(|it| Path::new(it).join(name)) {
        match access(&file, AccessFlags::X_OK) {
            Ok(()) if file.is_dir() => errno = Errno::EACCES,
            Ok(()) => {
                let mut command = Command::new(file);
                command.arg0(name).args(words).env_clear().envs(variables);
                return Ok(command);
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(other) => errno = other,
        }
    }
    Err(not_started(name.as_ref(), errno))
}

fn not_started(program: &Path, errno: Errno) -> anyhow::Error {
    anyhow!("execve({program:?}): {errno}")
}

#[rustfmt::skip]
const LIMITS: [Resource; 16] = [
    Resource::RLIMIT_AS, Resource::RLIMIT_CORE, Resource::RLIMIT_CPU, Resource::RLIMIT_DATA, Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_LOCKS, Resource::RLIMIT_MEMLOCK, Resource::RLIMIT_MSGQUEUE, Resource::RLIMIT_NICE, Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_NPROC, Resource::RLIMIT_RSS, Resource::RLIMIT_RTPRIO, Resource::RLIMIT_RTTIME,
    Resource::RLIMIT_SIGPENDING, Resource::RLIMIT_STACK,
];
