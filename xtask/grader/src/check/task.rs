//! What the kernel shows about one task: the first thread of a process, or another one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use lab::namespaces;
use lab::procfs::{FileId, Pid, Process, Status, is_gone};
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};

use super::sandbox::{Position, Sandbox};

/// A thread, the first of a process or another one.
#[derive(Clone, Debug)]
pub struct Task {
    pub process: Process,
    pub tid: Pid,
    /// Its namespaces by kind. Older kernels lack some kinds.
    pub namespaces: BTreeMap<&'static str, FileId>,
    pub status: Status,
    /// What it holds that leads out of the command's root, namespaces or processes.
    pub escapes: Vec<Escape>,
}

/// A link in /proc/PID of a task in the container, which leads out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    /// `fd/3`, `root`, `cwd`.
    pub link: String,
    /// Where it leads, in the kernel's words.
    pub to: PathBuf,
    pub kind: EscapeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeKind {
    /// A directory outside of the command's root.
    Directory,
    /// A file or a device on a mount of the host's.
    File,
    /// A namespace that isn't the command's.
    Namespace,
    /// A process that isn't in the command's PID namespace.
    Process,
}

/// What a descriptor is compared with.
#[derive(Debug)]
pub struct Inside<'a> {
    pub root: Position,
    /// The numbers of the mounts of the command's mount namespace.
    pub mounts: Vec<u32>,
    /// The command's namespaces.
    pub namespaces: &'a BTreeMap<&'static str, FileId>,
    /// The processes in its PID namespace.
    pub pids: Vec<Pid>,
    /// The files that `run` was given as stdin, stdout and stderr.
    pub given: &'a [FileId],
}

impl Task {
    /// Returns the first thread of a process. Fails if it ends meanwhile.
    pub fn of(sandbox: &Sandbox, process: &Process) -> nix::Result<Task> {
        Task::thread(sandbox, process, process.pid)
    }

    /// Returns the threads of a process, without those that end meanwhile.
    pub fn all_of(sandbox: &Sandbox, process: &Process) -> Vec<Task> {
        let threads = sandbox.host.numbers(process.pid, "task").unwrap_or_default();
        threads.into_iter().filter_map(|tid| Task::thread(sandbox, process, tid).ok()).collect()
    }

    fn thread(sandbox: &Sandbox, process: &Process, tid: Pid) -> nix::Result<Task> {
        let (proc, pid) = (&sandbox.host, process.pid);
        let namespace = |kind| Some((kind, proc.id(pid, &format!("task/{tid}/ns/{kind}")).ok()?));
        let status = proc.read(pid, &format!("task/{tid}/status")).map_err(|_| Errno::ESRCH)?;
        Ok(Task {
            process: process.clone(),
            tid,
            namespaces: namespaces::KINDS.into_iter().filter_map(namespace).collect(),
            status: Status::new(&status),
            escapes: Vec::new(),
        })
    }

    /// True if it isn't the first thread of its process.
    pub fn is_thread(&self) -> bool {
        self.tid != self.process.pid
    }

    /// Returns the path of its directory in /proc.
    pub fn path(&self) -> String {
        match self.is_thread() {
            true => format!("/proc/{}/task/{}", self.process.pid, self.tid),
            false => format!("/proc/{}", self.process.pid),
        }
    }

    /// Finds what leads out: its root and working directory, unless it is the command itself, and its descriptors.
    pub fn find_escapes(&mut self, sandbox: &Sandbox, inside: &Inside<'_>, is_command: bool) -> Result<()> {
        let (proc, pid) = (&sandbox.host, self.process.pid);
        let directory = format!("task/{}", self.tid);
        // Reading from a task that ends meanwhile fails in several ways: with EACCES, for example, once it has no memory.
        let has_ended = || !is_command && proc.process(pid).is_none_or(|it| it.is_ending);
        // The command's own root and working directory are observed already.
        let mut links: Vec<_> = ["root", "cwd"].into_iter().filter(|_| !is_command).map(str::to_owned).collect();
        match proc.numbers(pid, &format!("{directory}/fd")) {
            Ok(numbers) => links.extend(numbers.into_iter().map(|number| format!("fd/{number}"))),
            Err(_) if has_ended() => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        for link in links {
            let path = format!("{directory}/{link}");
            match sandbox.where_it_leads(pid, &path, inside) {
                Ok(Some(kind)) => {
                    let to = proc.link(pid, &path).unwrap_or_default().into();
                    self.escapes.push(Escape { link, to, kind });
                }
                Ok(None) => {}
                // It has been closed.
                Err(error) if error.downcast_ref().is_some_and(|errno| is_gone(*errno)) => {}
                Err(_) if has_ended() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Sandbox {
    /// Returns how a link of a process leads out of the container, if it does.
    fn where_it_leads(&self, pid: Pid, path: &str, inside: &Inside<'_>) -> Result<Option<EscapeKind>> {
        let (proc, text) = (&self.host, self.host.link(pid, path)?);
        let text = text.to_string_lossy();
        let target = proc.place(pid, path)?;
        let file = fstat(&target)?;
        let id = FileId::from(file);
        if text.contains("[pidfd]") || text.starts_with("pidfd:") {
            // -1 is a process that has ended, 0 one that isn't on the host.
            let info = proc.read(pid, &path.replacen("/fd/", "/fdinfo/", 1)).map_err(|_| Errno::ENOENT)?;
            let of = String::from_utf8_lossy(&info).lines().find_map(|it| it.strip_prefix("Pid:")?.trim().parse().ok());
            return Ok(of
                .filter(|it: &i64| *it >= 0 && !inside.pids.iter().any(|pid| i64::from(*pid) == *it))
                .map(|_| EscapeKind::Process));
        }
        if let Some(kind) = namespaces::KINDS.into_iter().find(|kind| text.starts_with(&format!("{kind}:["))) {
            let is_own = inside.namespaces.get(kind) == Some(&id);
            return Ok((!is_own).then_some(EscapeKind::Namespace));
        }
        match SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFDIR => Ok((!self.is_in_root(target, inside.root)?).then_some(EscapeKind::Directory)),
            SFlag::S_IFREG | SFlag::S_IFCHR | SFlag::S_IFBLK if !inside.given.contains(&id) => {
                let mount = self.position(&target)?.1;
                // A memfd is not a file of the host's.
                let is_foreign = !inside.mounts.contains(&mount) && !text.starts_with("/memfd:");
                Ok(is_foreign.then_some(EscapeKind::File))
            }
            _ => Ok(None),
        }
    }
}
