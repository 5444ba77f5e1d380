//! What the kernel reports about the container while the command waits: the command, all other tasks, and the mounts.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use lab::mountinfo::{self, Mount};
use lab::namespaces;
use lab::procfs::{FileId, Pid, Proc, Process};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::sandbox::{Sandbox, hostname};
use super::task::{Inside, Task};
use super::verdict::Checked;

/// The container of a waiting command.
#[derive(Debug)]
pub struct Observation {
    pub process: Process,
    /// Every task in the command's PID namespace, the command first. If that is the host's, only the command's.
    pub tasks: Vec<Task>,
    /// The environment of each of their processes.
    pub environments: Vec<(Pid, Vec<u8>)>,
    /// The kinds of its namespaces that aren't the host's.
    pub new: Vec<&'static str>,
    /// True if its children will start in a PID namespace other than its own.
    pub children_elsewhere: bool,
    pub name: String,
    /// The state when the command was first seen.
    pub early: Early,
    /// Its `/`, and the path on the host that the kernel reports for it.
    pub root: (FileId, PathBuf),
    /// True if its `/` is an overlay with the rootfs as a layer.
    pub is_overlay: bool,
    /// Its working directory, likewise.
    pub cwd: (FileId, PathBuf),
    pub cwd_is_inside: bool,
    /// The root of its mount namespace, to which a process can escape from a chroot.
    pub namespace_root: FileId,
    /// The mounts that this root covers, if it is the command's `/`.
    pub mounts_underneath: Vec<Mount>,
    /// All mounts of its mount namespace, including those outside its `/`.
    pub mounts: Vec<Mount>,
    /// The mounts in its `/`.
    pub own_mounts: Vec<Mount>,
    /// What is mounted on the host while it runs, and wasn't before.
    pub on_the_host: Vec<Mount>,
    pub proc: ProcView,
    /// Its /proc/PID/cgroup, and true if those aren't the cgroups that `run` was started in.
    pub cgroup: String,
    pub cgroup_is_new: bool,
    /// True if it executes the shell of its root.
    pub is_the_shell: bool,
}

/// What the command sees at /proc: no proc file system, or one of another PID namespace or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcView {
    None,
    Foreign,
    Own { read_only: bool },
}

/// What a quick command would find: the state when it is first seen. `None` if it couldn't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    pub name: Option<String>,
    pub proc: Option<ProcView>,
}

impl Early {
    pub fn of(sandbox: &Sandbox, process: &Process) -> Early {
        let pid = process.pid;
        let name = sandbox.inside(pid, "ns/uts", hostname).and_then(|it| it).ok();
        Early { name, proc: proc_view(sandbox, pid).ok() }
    }
}

impl Observation {
    /// Observes a waiting process. Fails if the process ends meanwhile.
    pub fn of(sandbox: &Sandbox, process: Process, early: Early, given: &[FileId]) -> Checked<Observation> {
        let (pid, proc) = (process.pid, &sandbox.host);
        let id = |name: &str| proc.id(pid, name).with_context(|| format!("stat(\"/proc/{pid}/{name}\")"));
        let open = |name: &str| proc.place(pid, name).with_context(|| format!("open(\"/proc/{pid}/{name}\", O_PATH)"));
        let command = Task::of(sandbox, &process).context("reading the command's namespaces")?;
        let hosts = |kind: &str| proc.id(1, &format!("ns/{kind}"));
        let is_new = |kind: &&str| command.namespaces.get(*kind).is_some_and(|id| hosts(kind) != Ok(*id));
        let new: Vec<_> = namespaces::KINDS.into_iter().filter(is_new).collect();
        let root = sandbox.position(&open("root")?)?;
        let (namespace_root, mounts) = sandbox.mount_namespace_of(pid)?;
        let is_namespace_root = id("root")? == namespace_root;
        let others = if new.contains(&"pid") { sandbox.guests()? } else { Vec::new() };
        let own_pid_namespace = command.namespaces.get("pid").copied();
        let is_inside =
            |it: &Process| it.pid != pid && it.state != 'Z' && proc.id(it.pid, "ns/pid").ok() == own_pid_namespace;
        let others: Vec<Process> = others.into_iter().filter(is_inside).collect();
        let inside = Inside {
            root,
            mounts: mounts.iter().map(|mount| mount.id).collect(),
            namespaces: &command.namespaces.clone(),
            pids: others.iter().map(|it| it.pid).chain([pid]).collect(),
            given,
        };
        let threads = Task::all_of(sandbox, &process).into_iter().filter(Task::is_thread);
        let others = others.iter().flat_map(|it| Task::all_of(sandbox, it));
        let mut tasks: Vec<Task> = [command].into_iter().chain(threads).chain(others).collect();
        for task in &mut tasks {
            let is_command = task.tid == pid;
            task.find_escapes(sandbox, &inside, is_command)?;
        }
        let cgroup = String::from_utf8_lossy(&proc.read(pid, "cgroup")?).into_owned();
        let environment = |task: &Task| Some((task.tid, proc.read(task.tid, "environ").ok()?));
        Ok(Observation {
            environments: tasks.iter().filter(|it| !it.is_thread()).filter_map(environment).collect(),
            children_elsewhere: match proc.id(pid, "ns/pid_for_children") {
                // Another namespace, in which no child has started yet: pid_namespaces(7).
                Err(Errno::ENOENT) => true,
                result => result? != id("ns/pid")?,
            },
            name: sandbox.inside(pid, "ns/uts", hostname)??,
            early,
            root: (id("root")?, proc.link(pid, "root")?.into()),
            is_overlay: is_overlay_of_rootfs(sandbox, pid)?,
            // It may be too long to be read (ENAMETOOLONG).
            cwd: (id("cwd")?, proc.link(pid, "cwd").unwrap_or_default().into()),
            cwd_is_inside: sandbox.is_in_root(open("cwd")?, root)?,
            proc: proc_view(sandbox, pid)?,
            on_the_host: sandbox.new_mounts()?,
            own_mounts: mountinfo::parse(&proc.read(pid, "mountinfo")?),
            cgroup_is_new: sandbox.cgroups.are_new(&cgroup),
            cgroup,
            is_the_shell: is_shell(sandbox, pid)?,
            mounts_underneath: if is_namespace_root { sandbox.mounts_underneath(pid)? } else { Vec::new() },
            namespace_root,
            mounts,
            new,
            tasks,
            process,
        })
    }

    pub fn pid(&self) -> Pid {
        self.process.pid
    }
}

/// True if the root of the process is an overlay that shows the rootfs. An overlay's files have inodes of their own, so a file
/// is put into the rootfs for a moment.
fn is_overlay_of_rootfs(sandbox: &Sandbox, pid: Pid) -> Checked<bool> {
    let root = sandbox.host.file(pid, "root")?;
    let is_rootfs = sandbox.rootfs == sandbox.host.id(pid, "root").ok();
    if is_rootfs || fstatfs(root.as_fd())?.filesystem_type() != OVERLAYFS_SUPER_MAGIC {
        return Ok(false);
    }
    // If the file can't be created, assume no overlay.
    let is_there = sandbox.with_marker(|name| sandbox.host.open_inside(pid, name, OFlag::O_PATH).is_ok());
    Ok(is_there.unwrap_or(false))
}

fn proc_view(sandbox: &Sandbox, pid: Pid) -> Checked<ProcView> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let Ok(directory) = sandbox.host.open_inside(pid, "proc", flags) else { return Ok(ProcView::None) };
    if fstatfs(directory.as_fd())?.filesystem_type() != PROC_SUPER_MAGIC {
        return Ok(ProcView::None);
    }
    // Ask the visible mount, because a table may list several at one place.
    let read_only = fstatvfs(&directory)?.flags().contains(FsFlags::ST_RDONLY);
    // Its process 1 tells which namespace a proc file system shows.
    let is_own = Proc(directory).id(1, "ns/pid") == sandbox.host.id(pid, "ns/pid");
    Ok(if is_own { ProcView::Own { read_only } } else { ProcView::Foreign })
}

/// True if the process executes the shell of its root, or a file with the same bytes: an overlay shows another inode.
fn is_shell(sandbox: &Sandbox, pid: Pid) -> Checked<bool> {
    let (root, exe) = (sandbox.host.id(pid, "root")?, sandbox.host.id(pid, "exe")?);
    // An unknown root, such as an overlay's, may have either shell.
    let is_known = sandbox.shells.iter().any(|(of, _)| *of == root);
    let candidates = || sandbox.shells.iter().filter(|(of, _)| !is_known || *of == root).map(|(_, file)| file);
    if candidates().any(|file| fstat(file).is_ok_and(|it| FileId::from(it) == exe)) {
        return Ok(true);
    }
    let bytes = sandbox.host.read(pid, "exe")?;
    let is_same = |mut file: &File| {
        let mut other = Vec::new();
        file.rewind().is_ok() && file.read_to_end(&mut other).is_ok() && other == bytes
    };
    Ok(candidates().any(is_same))
}
