//! A place for a program that nobody has read: handed-in work. It sees the machine's programs and the grader's files, read-only, and
//! of everyone's files only its own. What it writes is in memory, and limited. When it ends, everything that it started is killed.
//!
//! ```text
//! grader --jail DIR COMMAND…     new mount, PID, IPC and network namespaces; watches the memory
//! └─ grader --in-jail …          process 1: builds the new `/`, and becomes nobody
//!    └─ COMMAND…                 a sandbox, or a compiler
//! ```
//!
//! Root first becomes nobody on the machine, so even a way out of the namespaces leads to nobody's rights. An ordinary user becomes
//! nobody in a user namespace whose mounts belong to another one, so they can't be changed.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, bail, ensure};
use lab::process::{die_with_parent, exit_code};
use lab::{mountinfo, privilege, steps, workspace};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{chown, geteuid, pivot_root, setgid, setgroups, setsid, setuid};

/// The hidden first arguments of the two processes.
pub const JAIL: &str = "--jail";
pub const IN_JAIL: &str = "--in-jail";

/// Where the handed-in program is in the jail.
pub const HAND_IN: &str = "/hand-in";
/// Nobody's number, on nearly every Linux.
const NOBODY: u32 = 65534;
/// What a program may write to its home, /tmp and elsewhere, all together.
const DISK: &str = "size=256m,nr_inodes=20000,mode=755";
/// The most memory that one of its processes may fill.
const MEMORY: u64 = 1 << 30;
/// A program is stopped when less than this part of the machine's memory is left, because it may use it in ways that no limit of a
/// process covers.
const LEAST_PART: u64 = 8;
/// The exit status of a jail whose program was stopped for that.
pub const OUT_OF_MEMORY: i32 = 90;
/// The machine's directories that a program needs.
const MACHINE: [&str; 11] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "nix", "gnu", "sys"];

/// Returns a command that runs another one in a jail. `directory` is that of the handed-in program, which is `writable` for a
/// compiler, and `readable` are more paths that it sees.
///
/// # Errors
/// If this program's own path isn't known.
pub fn command(directory: &Path, is_writable: bool, readable: &[PathBuf]) -> Result<Command> {
    let mut command = Command::new(workspace::programs()?.join("grader"));
    command.env_clear().arg(JAIL).arg(directory).arg(if is_writable { "rw" } else { "ro" });
    command.arg(readable.len().to_string()).args(readable);
    Ok(command)
}

/// The outer process: makes the namespaces, starts process 1 in them, and waits for it.
///
/// # Errors
/// If the kernel refuses a call.
pub fn outer(args: &[OsString]) -> Result<ExitCode> {
    die_with_parent()?;
    // Without the teacher's terminal.
    setsid().context("setsid")?;
    if !geteuid().is_root() {
        privilege::enter_user_namespace()?;
    }
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    unshare(own).context("unshare(CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWIPC|CLONE_NEWNET)")?;
    let is_root = if geteuid().is_root() && can_set_groups() { "root" } else { "user" };
    let mut init =
        Command::new("/proc/self/exe").arg(IN_JAIL).arg(is_root).args(args).spawn().context("starting process 1")?;
    loop {
        if let Some(status) = init.try_wait()? {
            return Ok(exit_code(status));
        }
        if is_memory_short() {
            init.kill()?;
            init.wait()?;
            return Ok(ExitCode::from(OUT_OF_MEMORY as u8));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// True outside of our own user namespace, in which groups can't be changed.
fn can_set_groups() -> bool {
    fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "allow")
}

fn is_memory_short() -> bool {
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = |name: &str| {
        table.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    value("MemAvailable:").zip(value("MemTotal:")).is_some_and(|(left, all)| left < all / LEAST_PART)
}

/// Process 1 of the jail: builds the new root, gives up all rights, and runs the command.
///
/// # Errors
/// If the kernel refuses a call.
pub fn inner(args: &[OsString]) -> Result<ExitCode> {
    die_with_parent()?;
    let [rights, directory, access, count, rest @ ..] = args else { bail!("`{IN_JAIL}` is started by `{JAIL}`") };
    let count: usize = count.to_string_lossy().parse().context("the number of paths")?;
    ensure!(rest.len() > count, "there is no command for the jail");
    let (readable, command) = rest.split_at(count);
    let is_root = rights == "root";
    build_root(Path::new(directory), access == "rw", readable, is_root)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("setrlimit(RLIMIT_CORE)")?;
    setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY).context("setrlimit(RLIMIT_DATA)")?;
    become_nobody(is_root)?;
    // The kernel forgets it when the user changes.
    die_with_parent()?;
    let status = Command::new(&command[0])
        .args(&command[1..])
        .current_dir("/")
        .env_clear()
        .envs([
            ("HOME", "/home"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LC_ALL", "C"),
        ])
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("execve({:?})", command[0]))?;
    // Not a signal, which process 1 wouldn't die of.
    Ok(exit_code(status))
}

/// Builds a root directory in memory, and moves to it.
fn build_root(directory: &Path, is_writable: bool, readable: &[OsString], is_root: bool) -> Result<()> {
    lab::host::make_mounts_private()?;
    // It covers a directory that has nothing of what is bound below it.
    let given: Vec<&Path> = readable.iter().map(Path::new).chain([directory]).collect();
    let is_free = |it: &&Path| it.is_dir() && !it.is_symlink() && !given.iter().any(|path| path.starts_with(it));
    let root =
        ["/mnt", "/srv", "/media", "/tmp"].map(Path::new).into_iter().find(is_free).context("no place for a jail")?;
    let before: Vec<u32> = mountinfo::own()?.iter().map(|it| it.id).collect();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some(DISK))
        .with_context(|| format!("mount(\"tmpfs\", {root:?})"))?;
    for name in MACHINE {
        let (from, to) = (Path::new("/").join(name), root.join(name));
        match fs::read_link(&from) {
            Ok(link) => symlink(link, to)?,
            Err(_) if from.is_dir() => bind(&from, &to)?,
            Err(_) => {}
        }
    }
    for path in readable.iter().map(Path::new) {
        bind(path, &inside(root, path))?;
    }
    bind(directory, &inside(root, Path::new(HAND_IN)))?;
    let is_kept = |point: &Path| is_writable && point == inside(root, Path::new(HAND_IN));
    let is_bound = |it: &&mountinfo::Mount| it.point != root && !before.contains(&it.id) && !is_kept(&it.point);
    for it in mountinfo::own()?.iter().filter(is_bound) {
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
        // The other flags stay, because they may be locked.
        let (point, flags) = (&it.point, read_only | it.locked_flags());
        mount(None::<&str>, point, None::<&str>, flags, None::<&str>)
            .with_context(|| format!("mount(NULL, {point:?}, NULL, MS_REMOUNT)"))?;
    }
    fs::create_dir(root.join("dev"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let from = Path::new("/dev").join(name);
        if from.exists() {
            bind(&from, &root.join("dev").join(name))?;
        }
    }
    for (name, to) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")]
    {
        symlink(to, root.join("dev").join(name))?;
    }
    fs::create_dir(root.join("dev/pts"))?;
    // A new instance, without the teacher's terminals.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(Some("devpts"), &root.join("dev/pts"), Some("devpts"), flags, options).context("mount(\"devpts\")")?;
    for (name, mode) in [
        ("tmp", 0o1777),
        ("dev/shm", 0o1777),
        ("home", 0o755),
        ("mnt", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o1777),
        ("run", 0o755),
        ("proc", 0o555),
    ] {
        fs::create_dir_all(root.join(name)).with_context(|| format!("mkdir({name:?})"))?;
        fs::set_permissions(root.join(name), Permissions::from_mode(mode))?;
    }
    if is_root {
        chown(&root.join("home"), Some(NOBODY.into()), Some(NOBODY.into())).context("chown(\"/home\")")?;
    }
    let flags =
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | (lab::host::proc_flags() & MsFlags::MS_NOATIME);
    mount(Some("proc"), &root.join("proc"), Some("proc"), flags, None::<&str>).context("mount(\"proc\")")?;
    env::set_current_dir(root)?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("umount2(\".\", MNT_DETACH)")?;
    env::set_current_dir("/").context("chdir(\"/\")")
}

/// Returns where a path of the machine is below the new root, before that is the root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Binds a file or a directory, with what is mounted below it.
fn bind(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a bind mount has a parent directory")?;
    let made = fs::create_dir_all(parent).and_then(|()| match () {
        // It is part of a directory that was bound before.
        () if to.exists() => Ok(()),
        () if from.is_dir() => fs::create_dir(to),
        () => fs::File::create_new(to).map(drop),
    });
    made.with_context(|| format!("making {to:?}"))?;
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("mount({from:?}, {to:?}, NULL, MS_BIND|MS_REC, NULL)"))
}

/// Gives up everything. Root becomes nobody on the machine; an ordinary user becomes nobody in a user namespace that owns none of
/// these mounts.
fn become_nobody(is_root: bool) -> Result<()> {
    if is_root {
        setgroups(&[]).context("setgroups")?;
        setgid(NOBODY.into()).context("setgid")?;
        return setuid(NOBODY.into()).context("setuid");
    }
    unshare(CloneFlags::CLONE_NEWUSER).context("unshare(CLONE_NEWUSER)")?;
    for (file, text) in [("setgroups", "deny"), ("gid_map", "65534 0 1"), ("uid_map", "65534 0 1")] {
        fs::write(Path::new("/proc/self").join(file), text).with_context(|| format!("write({file:?})"))?;
    }
    Ok(())
}

/// Returns the files that a sandbox in a jail needs: its own program, those of the steps, and the exercises.
///
/// # Errors
/// If the programs or the steps aren't there.
pub fn needs() -> Result<Vec<PathBuf>> {
    let (root, programs) = (workspace::root(), workspace::programs()?);
    let mut paths = vec![programs.join("grader"), root.join(exercises::EXERCISES)];
    for step in steps::all()? {
        paths.push(root.join(&step.name).join("src"));
        paths.extend(Some(programs.join(&step.name)).filter(|it| it.is_file()));
    }
    Ok(paths)
}

/// Copies a hand-in into an empty directory that nobody can read. Links aren't followed, and a copy that is too large is refused.
///
/// # Errors
/// If it can't be read or is too large.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut left = (2_000_u32, 32_u64 << 20);
    copy_into(from, to, &mut left)?;
    give_to_nobody(to)
}

/// Gives a file or directory of root's to the user that a program in a jail is.
pub fn give_to_nobody(path: &Path) -> Result<()> {
    if geteuid().is_root() && can_set_groups() {
        chown(path, Some(NOBODY.into()), Some(NOBODY.into())).with_context(|| format!("chown({path:?})"))?;
    }
    Ok(())
}

fn copy_into(from: &Path, to: &Path, left: &mut (u32, u64)) -> Result<()> {
    let metadata = from.symlink_metadata()?;
    left.0 = left.0.checked_sub(1).context("it has more than 2000 files")?;
    if metadata.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy_into(&from.join(&name), &to.join(&name), left)?;
        }
    } else if metadata.is_file() {
        left.1 = left.1.checked_sub(metadata.len()).context("it is larger than 32 MiB")?;
        fs::copy(from, to)?;
    } else {
        // A link would lead elsewhere, and a pipe would make us wait.
        return Ok(());
    }
    let is_executable = metadata.is_dir() || metadata.permissions().mode() & 0o111 != 0;
    fs::set_permissions(to, Permissions::from_mode(if is_executable { 0o755 } else { 0o644 }))?;
    Ok(())
}
