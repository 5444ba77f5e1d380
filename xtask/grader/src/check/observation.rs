//! What the kernel has of the command while it waits.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use lab::mountinfo::{self, Mount};
use lab::namespaces;
use lab::procfs::{FileId, Pid, Proc, Process, is_gone};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::sandbox::{Place, Sandbox, hostname};
use super::verdict::Checked;

/// The waiting command.
#[derive(Debug)]
pub struct Observation {
    pub process: Process,
    /// The kinds of its namespaces that aren't the host's.
    pub new: Vec<&'static str>,
    /// True if its children will be born in another PID namespace than its own.
    pub children_elsewhere: bool,
    pub name: String,
    pub host_name: String,
    /// Its `/`, and the kernel's words for where that is on the host.
    pub root: (FileId, PathBuf),
    /// True if its `/` is an overlay with the rootfs as a layer.
    pub is_overlay: bool,
    /// Its working directory, likewise.
    pub cwd: (FileId, PathBuf),
    pub cwd_is_inside: bool,
    /// The ways out of its `/`.
    pub escapes: Vec<Escape>,
    /// The root of its mount namespace, which a chroot can be left for.
    pub namespace_root: FileId,
    /// The mounts that this root covers, if it is the command's `/`.
    pub mounts_underneath: Vec<Mount>,
    /// All mounts of its mount namespace, also those outside its `/`.
    pub mounts: Vec<Mount>,
    /// The mounts in its `/`.
    pub own_mounts: Vec<Mount>,
    pub proc: ProcView,
    /// True if it executes the shell of its root.
    pub is_the_shell: bool,
}

/// A link in /proc/PID of a process in the command's PID namespace, which leads out of the command's `/`. Root in there follows
/// it: by the number itself if it is the command's own descriptor, otherwise by its own /proc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    pub process: Process,
    /// `fd/3`, `root`, `cwd`.
    pub link: String,
    /// Where it leads, in the kernel's words.
    pub to: PathBuf,
}

/// What the command sees at /proc: a proc file system, of another PID namespace or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcView {
    None,
    Foreign,
    Own { read_only: bool },
}

impl Observation {
    /// Reads what the kernel has of a waiting process. Fails if it ends meanwhile.
    pub fn of(sandbox: &Sandbox, process: Process) -> Checked<Observation> {
        let (pid, proc) = (process.pid, &sandbox.host);
        let id = |name: &str| proc.id(pid, name).with_context(|| format!("stat(\"/proc/{pid}/{name}\")"));
        let open = |name: &str| proc.place(pid, name).with_context(|| format!("open(\"/proc/{pid}/{name}\", O_PATH)"));
        // Older kernels lack some kinds.
        let is_new = |kind: &&str| {
            let namespace = |pid| proc.id(pid, &format!("ns/{kind}")).ok();
            namespace(pid).zip(namespace(1)).is_some_and(|(its, hosts)| its != hosts)
        };
        let new: Vec<_> = namespaces::KINDS.into_iter().filter(is_new).collect();
        let root = sandbox.place(&open("root")?)?;
        let (namespace_root, mounts) = sandbox.mount_namespace_of(pid)?;
        let is_namespace_root = id("root")? == namespace_root;
        Ok(Observation {
            children_elsewhere: match proc.id(pid, "ns/pid_for_children") {
                // Another one, and no child was born there yet: pid_namespaces(7).
                Err(Errno::ENOENT) => true,
                result => result? != id("ns/pid")?,
            },
            name: sandbox.inside(pid, "ns/uts", hostname)??,
            host_name: hostname()?,
            root: (id("root")?, proc.link(pid, "root")?.into()),
            is_overlay: is_overlay_of_rootfs(sandbox, pid)?,
            // It may be too long to be read (ENAMETOOLONG).
            cwd: (id("cwd")?, proc.link(pid, "cwd").unwrap_or_default().into()),
            cwd_is_inside: sandbox.is_in_root(open("cwd")?, root)?,
            escapes: escapes(sandbox, &process, root, new.contains(&"pid"))?,
            proc: proc_view(sandbox, pid)?,
            own_mounts: mountinfo::parse(&proc.read(pid, "mountinfo")?),
            is_the_shell: is_shell(sandbox, pid)?,
            mounts_underneath: if is_namespace_root { sandbox.mounts_underneath(pid)? } else { Vec::new() },
            namespace_root,
            mounts,
            new,
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
    if fstatfs(root.as_fd())?.filesystem_type() != OVERLAYFS_SUPER_MAGIC {
        return Ok(false);
    }
    // If nobody may write there, there is no overlay to write to, either.
    let is_there = sandbox.with_marker(|name| sandbox.host.open_inside(pid, name, OFlag::O_PATH).is_ok());
    Ok(is_there.unwrap_or(false))
}

/// Returns the ways out of the command's root by what is open in its PID namespace. If that is the host's, only the command's
/// own descriptors count.
fn escapes(sandbox: &Sandbox, command: &Process, root: Place, has_pid_namespace: bool) -> Checked<Vec<Escape>> {
    let proc = &sandbox.host;
    let namespace = |pid: Pid| proc.id(pid, "ns/pid");
    let (own, hosts_mounts) = (namespace(command.pid)?, proc.id(1, "ns/mnt")?);
    let is_other = |it: &Process| it.pid != command.pid && it.state != 'Z' && namespace(it.pid) == Ok(own);
    let others = if has_pid_namespace { sandbox.guests()? } else { Vec::new() };
    let mut escapes = Vec::new();
    for process in [command.clone()].into_iter().chain(others.into_iter().filter(is_other)) {
        let (pid, is_command) = (process.pid, process.pid == command.pid);
        // The command's own root and working directory are observed already.
        let mut links: Vec<_> = ["root", "cwd"].into_iter().filter(|_| !is_command).map(str::to_owned).collect();
        match proc.descriptors(pid) {
            Ok(numbers) => links.extend(numbers.into_iter().map(|number| format!("fd/{number}"))),
            Err(errno) if is_gone(errno) && !is_command => continue,
            Err(errno) => return Err(errno.into()),
        }
        for link in links {
            let place = match proc.place(pid, &link) {
                Ok(place) => place,
                // It has been closed.
                Err(errno) if is_gone(errno) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let file = fstat(&place)?;
            let is_directory = SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
            // setns(2) takes a descriptor of the host's mount namespace.
            let leads_out =
                if is_directory { !sandbox.is_in_root(place, root)? } else { FileId::from(file) == hosts_mounts };
            if leads_out {
                let to = proc.link(pid, &link).unwrap_or_default().into();
                escapes.push(Escape { process: process.clone(), link, to });
            }
        }
    }
    Ok(escapes)
}

fn proc_view(sandbox: &Sandbox, pid: Pid) -> Checked<ProcView> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let Ok(directory) = sandbox.host.open_inside(pid, "proc", flags) else { return Ok(ProcView::None) };
    if fstatfs(directory.as_fd())?.filesystem_type() != PROC_SUPER_MAGIC {
        return Ok(ProcView::None);
    }
    // Of the mount that is seen, because a table may have several at one place.
    let read_only = fstatvfs(&directory)?.flags().contains(FsFlags::ST_RDONLY);
    // Its process 1 tells which namespace a proc file system shows.
    let is_own = Proc::at(directory).id(1, "ns/pid") == sandbox.host.id(pid, "ns/pid");
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
