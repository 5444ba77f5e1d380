//! The throwaway host at one moment, and what a run has changed of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use lab::mountinfo::{self, Mount};
use lab::namespaces;
use lab::procfs::{FileId, Pid, Process};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::sandbox::{Run, Sandbox};
use super::verdict::Checked;

/// How long the kernel may take to remove a network namespace. It does that in the background, one after the other.
const NETWORK_CLEAN_UP: Duration = Duration::from_secs(5);

/// Where programs put temporary files.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// The host at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub mounts: Vec<Mount>,
    /// The names of the network interfaces.
    pub interfaces: Vec<String>,
    /// The cgroups below the host's own.
    pub cgroups: Vec<PathBuf>,
    /// The files that were written, made or removed since the host was made, in the program's directory.
    pub files: Vec<PathBuf>,
    /// The names in the directories for temporary files, which are the real machine's.
    pub temporary: Vec<PathBuf>,
}

/// What a run is compared with: the host before the first run, and what the program is given.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    /// The host's `/`, and ./rootfs.
    pub root: FileId,
    pub rootfs: Option<FileId>,
    /// The host's namespaces by kind.
    pub namespaces: BTreeMap<&'static str, FileId>,
    pub mounts: Vec<Mount>,
    pub environment: Vec<(&'static str, String)>,
    /// Where the program starts.
    pub directory: PathBuf,
    /// The directories that it may be asked to mount.
    pub given: Vec<PathBuf>,
    /// The host's shell, if the rootfs has none at that path.
    pub host_only_shell: Option<PathBuf>,
}

/// What a run changed on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The new name that the host has, or had during the run.
    pub renamed: Option<String>,
    pub mounts_left: Vec<Mount>,
    pub mounts_gone: Vec<Mount>,
    /// The program's processes that are still alive.
    pub processes_left: Vec<Process>,
    /// Processes of the host's that are gone.
    pub processes_gone: Vec<Process>,
    pub interfaces_left: Vec<String>,
    pub cgroups_left: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
    pub temporary: Vec<PathBuf>,
}

impl Changes {
    /// True if another run finds the host as this one did.
    pub fn is_empty(&self) -> bool {
        // What a program writes to ./rootfs is often harmless, such as a mount point, and so is an empty cgroup. Other programs
        // write to /tmp as well.
        let harmless = Changes { files: Vec::new(), temporary: Vec::new(), cgroups_left: Vec::new(), ..self.clone() };
        harmless == Changes::default()
    }

    /// Returns the changed files in that directory's ./rootfs, as paths relative to it.
    pub fn in_rootfs<'a>(&'a self, directory: &Path) -> impl Iterator<Item = &'a Path> {
        let rootfs = directory.join("rootfs");
        self.files.iter().filter_map(move |it| it.strip_prefix(&rootfs).ok())
    }
}

impl Sandbox {
    /// Returns what a run is compared with.
    pub fn baseline(&self) -> Baseline {
        let namespace = |kind| Some((kind, self.host.id(1, &format!("ns/{kind}")).ok()?));
        let text = |(name, value): &(&'static str, OsString)| (*name, value.to_string_lossy().into_owned());
        Baseline {
            root: self.root,
            rootfs: self.rootfs,
            namespaces: namespaces::KINDS.into_iter().filter_map(namespace).collect(),
            mounts: self.mounts.borrow().clone(),
            environment: self.environment.iter().map(text).collect(),
            directory: self.directory.clone(),
            given: self.given.borrow().clone(),
            host_only_shell: self.host_only_shell.clone(),
        }
    }

    /// Returns the names of the network interfaces that a process has.
    pub fn interfaces(&self, pid: Pid) -> io::Result<Vec<String>> {
        Ok(interfaces(&self.host.read(pid, "net/dev")?))
    }

    /// True if there is something at that path on the host. A mount whose directory is removed is unmounted in every mount namespace,
    /// so another process on this machine may have ended it: mount_namespaces(7).
    fn has(&self, path: &Path) -> bool {
        let path = path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned();
        path.is_empty() || self.host.open_inside(1, &path, OFlag::O_PATH).err() != Some(Errno::ENOENT)
    }

    /// Returns what the host is like now.
    pub fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let entries = TEMPORARY.iter().flat_map(fs::read_dir).flatten().flatten();
        Ok(Snapshot {
            mounts: mountinfo::parse(&self.host.read(1, "mountinfo")?),
            interfaces: self.interfaces(1)?,
            cgroups: self.cgroups.below(),
            files: self.place.written(),
            temporary: entries.map(|entry| entry.path()).collect(),
        })
    }
}

impl Run<'_> {
    /// Returns what this run has changed, once everything that is ending has had time to end.
    pub fn changes(&mut self) -> Checked<Changes> {
        let processes_left = self.left_behind()?;
        let (sandbox, before) = (self.sandbox, &self.before);
        // The kernel removes an interface a little later than the processes of its network namespace.
        let settled = |now: &Snapshot| only_in(&now.interfaces, &before.interfaces).is_empty();
        let mut now = sandbox.snapshot()?;
        let (end, mut last) = (sandbox.time.get() + NETWORK_CLEAN_UP, Instant::now());
        while !settled(&now) && sandbox.time.get() < end {
            thread::sleep(Duration::from_millis(2));
            sandbox.tick(&mut last);
            now = sandbox.snapshot()?;
        }
        let is_gone = |it: &&Process| sandbox.host.process(it.pid).is_none_or(|now| now.started != it.started);
        Ok(Changes {
            renamed: sandbox.renamed(),
            mounts_left: only_in(&now.mounts, &before.mounts),
            mounts_gone: only_in(&before.mounts, &now.mounts).into_iter().filter(|it| sandbox.has(&it.point)).collect(),
            processes_gone: sandbox.processes.iter().filter(is_gone).cloned().collect(),
            processes_left,
            interfaces_left: only_in(&now.interfaces, &before.interfaces),
            // No process is left to remove them later, and the kernel doesn't.
            cgroups_left: only_in(&now.cgroups, &before.cgroups),
            // A file of ours that is gone is a change as well.
            files: [only_in(&now.files, &before.files), only_in(&before.files, &now.files)].concat(),
            temporary: only_in(&now.temporary, &before.temporary),
        })
    }
}

/// Returns the items of `all` without those of `others`, counting duplicates.
pub fn only_in<T: Clone + PartialEq>(all: &[T], others: &[T]) -> Vec<T> {
    let mut rest = all.to_vec();
    for other in others {
        if let Some(at) = rest.iter().position(|it| it == other) {
            rest.remove(at);
        }
    }
    rest
}

/// Reads the names from a /proc/PID/net/dev: two lines of headings, then `  lo: 0 0 …` (proc_pid_net(5)).
fn interfaces(table: &[u8]) -> Vec<String> {
    let table = String::from_utf8_lossy(table);
    table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_taken_off_once() {
        assert_eq!(only_in(&[1, 2, 2, 3], &[2, 3, 4]), [1, 2]);
    }

    #[test]
    fn interfaces_are_read() {
        let table = b"Inter-|   Receive\n face |bytes\n    lo:       0  0\nveth0@if3: 1 2\n";
        assert_eq!(interfaces(table), ["lo", "veth0@if3"]);
        assert_eq!(interfaces(b""), [""; 0]);
    }
}
