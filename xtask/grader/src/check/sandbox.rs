//! The sandbox of one check: a throwaway host, and this process, which watches the host from outside.
//!
//! ```text
//! grader check           starts some sandboxes side by side, and reports
//! └─ grader --sandbox    made the host's namespaces, but isn't in its PID namespace,
//!    │                   so nothing on the host can see, signal or trace it
//!    ├─ /sbin/init …     the throwaway host
//!    └─ PROGRAM run …    the program that is checked; what it starts dies with init
//! ```
//!
//! The program isn't trusted. It may print anything, fork or write without end, ignore signals, or mount over /proc. The
//! sandbox holds its own descriptor of /proc, and limits time, processes and output.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::mountinfo::{self, Mount};
use lab::procfs::{FileId, Pid, Proc, Process, id_of};
use lab::{host, workspace};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::WaitStatus;
use nix::unistd::{close, geteuid, setsid};

use super::draw::Draw;
use super::evidence::Evidence;
use super::rules::Rule;
use super::snapshot::only_in;
use super::verdict::{Checked, Error};

mod capture;
pub mod cgroups;
mod input;
mod limits;
mod namespaces;
mod place;
mod run;
mod scratch;
mod setgroups;
mod slow_motion;

use cgroups::Cgroups;
use limits::{MOST_PROCESSES, PROCESS_LIMIT};
pub use limits::{TIME_LIMIT, WALL_LIMIT};
pub use namespaces::{Position, hostname};
use place::Place;
pub use run::{Invocation, Remains, Run};
pub use slow_motion::Slowed;

/// A throwaway host, watched by this process.
#[derive(Debug)]
pub struct Sandbox {
    pub host: Proc,
    /// The real machine's /proc, the only one in which this process has an entry.
    pub machine: Proc,
    /// The program, and arguments that come before `run`.
    pub program: Vec<OsString>,
    /// Where the program starts: a directory with a `rootfs/`.
    pub directory: PathBuf,
    pub environment: Vec<(&'static str, OsString)>,
    pub rootfs: Option<FileId>,
    pub root: FileId,
    /// The host's shell, if the rootfs has none at that path.
    pub host_only_shell: Option<PathBuf>,
    /// The shells of the host and of the rootfs, each with its root.
    pub shells: Vec<(FileId, File)>,
    /// Where the random values of its runs come from.
    pub draw: Draw,
    /// The host's own processes.
    pub processes: Vec<Process>,
    pub cgroups: Cgroups,
    /// The program's directory. Changes in it disappear with the host.
    pub place: Place,
    /// The rules that each run of this check must keep, and the first that one broke.
    pub standing: Vec<Rule>,
    pub broken: RefCell<Option<Error>>,
    /// Where scratch directories are made.
    scratch_place: PathBuf,
    /// The directories that the program may be asked to mount.
    pub given: RefCell<Vec<PathBuf>>,
    /// What was mounted on the host before the program ran.
    pub mounts: RefCell<Vec<Mount>>,
    /// The first new name that the host was seen with.
    other_name: RefCell<Option<String>>,
    /// The host's process 1; `None` when the host is closed.
    init: RefCell<Option<Child>>,
    opened: Instant,
    /// The number of runs so far.
    pub runs: Cell<u32>,
    /// The time by the sandbox's own clock.
    pub time: Cell<Duration>,
}

impl Sandbox {
    /// Makes a throwaway host, which this single-threaded process watches from now on.
    pub fn open(program: Vec<OsString>, directory: &Path, in_user_namespace: bool, seed: u64) -> Result<Sandbox> {
        // Out of reach of the signals that a program sends its process group or its terminal's.
        setsid().context("setsid")?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0).context("setrlimit(RLIMIT_CORE)")?;
        close_inherited().context("open(\"/proc/self/fd\")")?;
        let machine = Proc::open(Path::new("/proc")).context("open(\"/proc\")")?;
        // Before the host is built: this process has no /proc/self there.
        let environment = host::environment(&[workspace::programs()?])?;
        // Absolute, because returning from another mount namespace leaves us in `/`.
        let directory = directory.canonicalize().with_context(|| format!("finding {}", directory.display()))?;
        let is_root = geteuid().is_root();
        let mut cgroups = None;
        let make_cgroups = || {
            cgroups = Some(Cgroups::make(is_root)?);
            Ok(())
        };
        let init =
            host::build(in_user_namespace, host::Guests::Untrusted, make_cgroups).context("no throwaway host")?;
        // It counts a user's processes in this user namespace; before 5.14 it would count all of the user's.
        if host::kernel_is_at_least(5, 14) {
            setrlimit(Resource::RLIMIT_NPROC, PROCESS_LIMIT, PROCESS_LIMIT).context("setrlimit(RLIMIT_NPROC)")?;
        }
        // Otherwise root on the host could trace us, if it finds a descriptor of the machine's /proc.
        set_dumpable(false).context("prctl(PR_SET_DUMPABLE, 0)")?;
        hide_network_names()?;
        let mut needed: Vec<&Path> = program.iter().map(Path::new).collect();
        needed.extend([directory.as_path(), workspace::root()]);
        let scratch_place = scratch::place(&needed)?;
        let place = Place::cover(&directory, in_user_namespace)?;
        let host = detached_proc()?;
        let processes = host.processes()?;
        ensure!(!processes.is_empty(), "no throwaway host: its /proc is empty");
        // Before the program runs, which may replace them.
        let rootfs = directory.join("rootfs");
        let root = host.id(1, "root")?;
        let host_shell = find_program(&environment, "sh");
        let opened = host_shell.as_ref().and_then(|path| File::open(path).ok()).map(|file| (root, file));
        let of_rootfs = open_in_root(&rootfs, Path::new("/bin/sh"));
        let rootfs_id = id_of(&rootfs).ok();
        Ok(Sandbox {
            draw: Draw::new(seed),
            place,
            cgroups: cgroups.context("no cgroups")?,
            standing: Vec::new(),
            broken: RefCell::new(None),
            scratch_place,
            given: RefCell::default(),
            mounts: RefCell::new(mountinfo::parse(&host.read(1, "mountinfo")?)),
            other_name: RefCell::new(None),
            host,
            machine,
            program,
            environment,
            rootfs: rootfs_id,
            root,
            host_only_shell: host_shell.filter(|path| open_in_root(&rootfs, path).is_none()),
            shells: opened.into_iter().chain(rootfs_id.zip(of_rootfs)).collect(),
            directory,
            processes,
            init: RefCell::new(Some(init)),
            opened: Instant::now(),
            runs: Cell::default(),
            time: Cell::default(),
        })
    }

    /// Returns the processes that the program has started, and the program's own.
    pub fn guests(&self) -> nix::Result<Vec<Process>> {
        self.guests_among(|_| true)
    }

    /// Returns the first of them with exactly these words. Of the others only the command line is read.
    pub fn guest_with(&self, words: &[&str]) -> nix::Result<Option<Process>> {
        let line: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
        let has_line = |pid| self.host.read(pid, "cmdline").is_ok_and(|it| it == line);
        Ok(self.guests_among(has_line)?.into_iter().find(|it| it.has_line(words)))
    }

    fn guests_among(&self, is_wanted: impl Fn(Pid) -> bool) -> nix::Result<Vec<Process>> {
        // Reading a command line waits for a process that is forking. With hundreds of them this takes seconds, and the limit
        // must apply first.
        const AT_ONCE: usize = 20;
        let mut pids = self.host.pids()?;
        pids.retain(|pid| !self.processes.iter().any(|it| it.pid == *pid));
        let mut guests = Vec::new();
        for (at, pids) in pids.chunks(AT_ONCE).enumerate() {
            if at > 0 && self.count_guests()? > MOST_PROCESSES {
                break;
            }
            guests.extend(pids.iter().filter(|pid| is_wanted(**pid)).filter_map(|pid| self.host.process(*pid)));
        }
        Ok(guests)
    }

    fn count_guests(&self) -> nix::Result<usize> {
        Ok(self.host.pids()?.len().saturating_sub(self.processes.len()))
    }

    /// Returns what is mounted on the host now, and wasn't before.
    pub fn new_mounts(&self) -> Result<Vec<Mount>> {
        Ok(only_in(&mountinfo::parse(&self.host.read(1, "mountinfo")?), &self.mounts.borrow()))
    }

    /// Notes the host's name if it has changed. A program may change it only for a moment.
    fn watch_name(&self) {
        if let Ok(name) = hostname()
            && name != lab::host::HOSTNAME
        {
            self.other_name.borrow_mut().get_or_insert(name);
        }
    }

    /// Returns the first new name that the host was seen with.
    pub fn renamed(&self) -> Option<String> {
        self.watch_name();
        self.other_name.borrow().clone()
    }

    /// Applies the standing rules to a run in which the command was observed, and keeps the first failure. Those about a probe
    /// apply only if the command is one.
    pub fn note_standing(&self, evidence: &Evidence) {
        let has_probe = !evidence.probe.words.is_empty();
        let applies =
            |rule: &&Rule| evidence.observation.is_some() && (has_probe || matches!(rule, Rule::Container(_)));
        let rules = self.standing.iter().filter(applies).filter_map(|rule| rule.shared());
        if let Some(error) = rules.into_iter().find_map(|rule| rule(evidence).err()) {
            self.broken.borrow_mut().get_or_insert(error);
        }
    }

    /// Mounts an empty file system on the host before the program runs. Files written there disappear with the host.
    pub fn mount_tmpfs(&self, point: &Path) -> Result<()> {
        mount_tmpfs(point, MsFlags::empty())?;
        *self.mounts.borrow_mut() = mountinfo::parse(&self.host.read(1, "mountinfo")?);
        Ok(())
    }

    /// Sends a signal to a process of the host. Returns false if the process has just ended.
    pub fn signal(&self, pid: Pid, signal: Signal) -> Result<bool> {
        let Ok(outer) = self.outer_pid(pid) else { return Ok(false) };
        match kill(outer, signal) {
            Err(Errno::ESRCH) => Ok(false),
            result => result.map(|()| true).with_context(|| format!("kill({outer}, {signal})")),
        }
    }

    /// Returns the number that a process of the host has in our own PID namespace.
    fn outer_pid(&self, pid: Pid) -> Result<nix::unistd::Pid> {
        // kill(2) takes the PID that it has in our own namespace.
        let identity = |proc: &Proc, pid: Pid| Some((proc.id(pid, "ns/pid").ok()?, proc.process(pid)?.inner_pid()));
        let no_process = || format!("there is no process {pid}");
        let wanted = identity(&self.host, pid).with_context(no_process)?;
        let mut all = self.machine.pids()?;
        // Newer processes have higher numbers, until the numbers are used up.
        all.reverse();
        let outer =
            all.into_iter().find(|outer| identity(&self.machine, *outer) == Some(wanted)).with_context(no_process)?;
        Ok(nix::unistd::Pid::from_raw(outer.cast_signed()))
    }

    /// Ends the host, and everything that runs on it.
    pub fn close(&self) {
        let Some(mut init) = self.init.take() else { return };
        let _ = init.kill();
        // The kernel lets process 1 end when nothing is left in its namespace, not even a zombie, and the programs that we
        // started are our zombies. nix can't decode a death by real-time signal, but the wait goes on.
        let is_init = |dead: WaitStatus| dead.pid().is_some_and(|pid| pid.as_raw().cast_unsigned() == init.id());
        loop {
            match nix::sys::wait::wait() {
                Err(Errno::ECHILD) => return,
                Ok(dead) if is_init(dead) => return,
                _ => {}
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// Looks up a program on an environment's PATH.
pub fn find_program(environment: &[(&str, OsString)], name: impl AsRef<Path>) -> Option<PathBuf> {
    let (_, path) = environment.iter().find(|(name, _)| *name == "PATH")?;
    env::split_paths(path).map(|directory| directory.join(&name)).find(|file| file.is_file())
}

/// Opens `path` as a process with the root `root` does: Alpine's `/bin/sh` is a link to `/bin/busybox`, which the host may also
/// have.
fn open_in_root(root: &Path, path: &Path) -> Option<File> {
    let root = nix::fcntl::open(root, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    openat2(root, path, how).ok().map(File::from)
}

/// Closes what a careless caller has left open, so that no program inherits it from us.
fn close_inherited() -> io::Result<()> {
    let fds = fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for fd in fds.filter(|fd| *fd > 2).collect::<Vec<i32>>() {
        // One of them is the directory that was read, and is closed already.
        let _ = close(fd);
    }
    Ok(())
}

/// Covers the names of network namespaces, which ip-netns(8) keeps in /run/netns, and which root could leave on the machine.
fn hide_network_names() -> Result<()> {
    let point = Path::new("/run/netns");
    if point.is_dir() { mount_tmpfs(point, MsFlags::empty()) } else { Ok(()) }
}

fn mount_tmpfs(point: &Path, flags: MsFlags) -> Result<()> {
    // Half of the machine's memory by default, which a program could fill.
    mount(Some("tmpfs"), point, Some("tmpfs"), flags, Some("size=512m"))
        .with_context(|| format!("mount(\"tmpfs\", {point:?}, \"tmpfs\")"))
}

/// Opens the host's /proc through a detached mount, so that nothing can be mounted over a file in it, such as another namespace
/// over /proc/PID/ns.
fn detached_proc() -> Result<Proc> {
    let bind = MsFlags::MS_BIND;
    mount(Some("/proc"), "/proc", None::<&str>, bind, None::<&str>).context("mount(\"/proc\", \"/proc\", MS_BIND)")?;
    let proc = Proc::open(Path::new("/proc")).context("open(\"/proc\")")?;
    umount2("/proc", MntFlags::MNT_DETACH).context("umount2(\"/proc\", MNT_DETACH)")?;
    Ok(proc)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_a_root() {
        let root = env::temp_dir().join(format!("mini-docker-in-root-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/busybox"), "x").unwrap();
        symlink("/bin/busybox", root.join("bin/sh")).unwrap();
        symlink("../usr/../../../usr/bin/busybox", root.join("bin/busybox")).unwrap();
        symlink("usr", root.join("lib")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let read = |path: &str| open_in_root(&root, Path::new(path)).map(|it| io::read_to_string(it).unwrap());
        assert_eq!(read("/bin/sh").as_deref(), Some("x"));
        assert_eq!(read("/lib/bin/busybox").as_deref(), Some("x"));
        assert_eq!(read("/bin/no-such"), None);
        assert_eq!(read("/loop"), None);
        fs::remove_dir_all(root).unwrap();
    }
}
