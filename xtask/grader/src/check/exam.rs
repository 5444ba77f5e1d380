//! One exam: a throwaway host of its own, and the learner's program on it, watched from outside.
//!
//! ```text
//! xtask check            asks for one exam after the other, and tells the learner
//! └─ xtask --exam        the examiner: made the host's namespaces, but is in no PID namespace of its own making,
//!    │                   so nothing on the host can see, signal or trace it
//!    ├─ /sbin/init …     the throwaway host
//!    └─ PROGRAM run …    the learner's: whatever it starts dies with init
//! ```
//!
//! The program is believed nothing. It may print what it likes, fork or write without end, ignore signals, or mount over
//! /proc: the examiner has its own descriptor of /proc, a time limit, and limits on processes and output.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Display, Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns, unshare};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, fstat};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{close, gethostname, setsid};

use super::diagnosis::Diagnosis;
use super::verdict::{Failure, fail};
use crate::host;
use crate::mounts::{self, Mount};
use lab::procfs::{FileId, Pid, Proc, Process, id_of};

/// The step that an attack is put into, by its name on the PATH.
pub const STEP: &str = "step04-proc";

/// How long one exam may take, by the examiner's own clock. A good program needs some hundredths of a second.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take by the clock on the wall, however busy the machine is.
pub const WALL_LIMIT: Duration = Duration::from_secs(60);
/// How many processes may be on the host besides its own.
const MOST_PROCESSES: usize = 200;
/// How many of them may have the same words, when the time is up.
const MOST_ALIKE: usize = 20;
/// For how many there is room, for who forks without end is faster than we are at counting.
const ROOM: u64 = 300;
/// How many bytes a program may write.
const MOST_OUTPUT: u64 = 16 << 20;
/// How many of them are kept.
const KEPT_OUTPUT: usize = 64 << 10;
/// Between two looks at what the program does.
const GLANCE: Duration = Duration::from_millis(1);
/// A PID namespace outlives its last process's end by some 30 to 80 ms, and longer on a busy machine.
const CLEAN_UP: Duration = Duration::from_millis(1500);

/// What kept the examiner from its look.
#[derive(Debug)]
pub enum Trouble {
    /// The program is at fault.
    Fault(Failure),
    /// The examiner itself failed: a kernel's refusal, or a fault of ours.
    Own(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble::Own(error.into())
    }
}

/// A folder of the throwaway host's. Of the machine's there is but the empty folder below, and that goes too.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// An empty file in ./rootfs, which nobody may execute, as long as this is there. It can't be on a file system of the host's that
/// is mounted there: who binds the rootfs to another place may leave out what is mounted in it.
#[derive(Debug)]
pub struct Marker(PathBuf);

impl Marker {
    /// Its name in the rootfs.
    pub fn name(&self) -> Display<'_> {
        Path::new(self.0.file_name().unwrap_or_default()).display()
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A folder, and the mount that it is seen by. The same folder may hang in two places, and `..` leads from each to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    folder: FileId,
    mount: u32,
}

/// How many folders are climbed through, and how many mounts are taken off one another. Who has more has made them for us.
const HIGHEST: usize = 4096;
const MOST_LAYERS: usize = 8;

/// How to start the program, besides `PROGRAM run COMMAND [ARG...]`.
#[derive(Debug, Default)]
pub struct Setting<'a> {
    /// Between `run` and the command: `["--hostname", "other"]`.
    pub flags: &'a [&'a str],
    /// More variables for the program.
    pub variables: &'a [(&'a str, &'a str)],
    /// Before the program: `["unshare", "--user"]`.
    pub around: &'a [&'a str],
    /// stdout and stderr are one pipe, as on a terminal, so that their order shows.
    pub merged: bool,
    /// Note whether the program writes to its own /proc/self/setgroups.
    pub watch_setgroups: bool,
    /// The program is an attack, and lies there in the rootfs: start step 4 instead, with the attack and its words as COMMAND.
    pub attack: Option<&'a str>,
}

/// A throwaway host with an examiner, which is this process.
#[derive(Debug)]
pub struct Exam {
    /// The host's /proc.
    pub host: Proc,
    /// The real machine's /proc, in which alone this process has an entry.
    machine: Proc,
    init: RefCell<Child>,
    is_closed: Cell<bool>,
    program: Vec<OsString>,
    folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    /// What was mounted before the program, for comparison.
    mounts_before: RefCell<Vec<Mount>>,
    /// Who was there before.
    processes_before: Vec<Process>,
    clock: Clock,
}

impl Exam {
    /// Turns this process, which must have one thread, into the examiner on a new throwaway host. `program` is the learner's,
    /// and starts in `folder`, which has a `rootfs`.
    ///
    /// # Errors
    /// When the kernel refuses the host.
    pub fn open(program: Vec<OsString>, folder: &Path, in_user_namespace: bool) -> Result<Exam> {
        // Out of reach of the signals that a program may send its process group or to whoever has its terminal.
        setsid().context("setsid")?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0).context("setrlimit(RLIMIT_CORE)")?;
        close_inherited().context("open(\"/proc/self/fd\")")?;
        let machine = Proc::open(Path::new("/proc")).context("open(\"/proc\")")?;
        // Now, for in the host's /proc this process has no entry: it is not born there.
        let environment = host::environment(&[crate::workspace::programs()?])?;
        // For us, who come back from other mount namespaces with `/` as the working directory.
        let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
        let init = host::build(in_user_namespace, host::Guests::Untrusted).context("no throwaway host")?;
        // Of what an ordinary user has in this user namespace; before 5.14 it would be of all that is the user's.
        if host::kernel_is_at_least(5, 14) {
            setrlimit(Resource::RLIMIT_NPROC, ROOM, ROOM).context("setrlimit(RLIMIT_NPROC)")?;
        }
        // Whoever is root on the host could otherwise trace us: by a descriptor that shows the machine's processes it finds us.
        set_dumpable(false).context("prctl(PR_SET_DUMPABLE, 0)")?;
        cover()?;
        let host = proc_of_our_own()?;
        let mounts_before = RefCell::new(mounts::parse(&host.read(1, "mountinfo")?));
        let processes_before = host.processes()?;
        ensure!(!processes_before.is_empty(), "no throwaway host: its /proc is empty");
        Ok(Exam {
            host,
            machine,
            init: RefCell::new(init),
            is_closed: Cell::new(false),
            program,
            folder,
            environment,
            mounts_before,
            processes_before,
            clock: Clock::new(),
        })
    }

    /// The program, and arguments that stand before `run`.
    pub fn program(&self) -> &[OsString] {
        &self.program
    }

    /// The variables that the program is given, as far as they are text.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().filter_map(|(name, value)| Some((*name, value.to_str()?)))
    }

    /// The folder that the program starts in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a program of that name is, as the learner's finds it.
    pub fn on_path(&self, name: &str) -> Option<PathBuf> {
        let (_, path) = self.environment.iter().find(|(name, _)| *name == "PATH")?;
        env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    /// Starts `PROGRAM run COMMAND [ARG...]`.
    ///
    /// # Errors
    /// When it can't be executed, which is the program's fault.
    pub fn start(&self, setting: &Setting<'_>, command: &[&OsStr]) -> Result<Run<'_>, Trouble> {
        let halted: &[&str] = if setting.watch_setgroups { &HALTED } else { &[] };
        let mut words: Vec<&OsStr> = setting.around.iter().chain(halted).map(OsStr::new).collect();
        match setting.attack {
            None => words.extend(self.program.iter().map(OsString::as_os_str)),
            Some(_) => words.push(OsStr::new(STEP)),
        }
        words.push(OsStr::new("run"));
        words.extend(setting.attack.map(OsStr::new));
        words.extend(setting.flags.iter().map(OsStr::new));
        words.extend(command);
        let (stdout, out) = io::pipe()?;
        let (stderr, err) = match setting.merged {
            true => (None, out.try_clone()?),
            false => io::pipe().map(|(reader, writer)| (Some(reader), writer))?,
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.folder).env_clear();
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(setting.variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(out).stderr(err).process_group(0);
        let started = on_all_but_one_cpu(|| command.spawn())?;
        // It holds the writing ends of our pipes.
        drop(command);
        let mut child = started.map_err(|error| {
            let seen = format!("{}: {error}", words[0].display());
            Trouble::Fault(fail(Diagnosis::NotAProgram, seen, "a program that can be executed"))
        })?;
        let stdin = child.stdin.take();
        if let Some(stdin) = &stdin {
            // The program may fill it, by /proc/self/fd/0, and leave us waiting for room.
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let mut run = Run {
            exam: self,
            child,
            stdin,
            out: Tap::new(stdout)?,
            err: stderr.map(Tap::new).transpose()?,
            status: None,
            remains: None,
            setgroups: None,
        };
        if setting.watch_setgroups {
            run.watch(TIME_LIMIT, |run| Ok(run.is_in_state('T').then_some(())))?.context("it did not stop")?;
            run.setgroups = Some(SetgroupsWatch::on(run.pid()?)?);
            kill(nix::unistd::Pid::from_raw(run.child.id().cast_signed()), Signal::SIGCONT)?;
        }
        Ok(run)
    }

    /// The processes that were not there before.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn guests(&self) -> nix::Result<Vec<Process>> {
        let mut guests = Vec::new();
        for pid in self.host.pids()? {
            if self.processes_before.iter().any(|it| it.pid == pid) {
                continue;
            }
            // The kernel shows a process's words when that is not about to fork, and among hundreds that do little else it waits
            // for seconds: the limit speaks first.
            if self.count_guests()? > MOST_PROCESSES {
                break;
            }
            guests.extend(self.host.process(pid));
        }
        Ok(guests)
    }

    fn count_guests(&self) -> nix::Result<usize> {
        Ok(self.host.pids()?.len().saturating_sub(self.processes_before.len()))
    }

    /// The mounts on the host that were not there before.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn new_mounts(&self) -> Result<Vec<Mount>> {
        let mut now = mounts::parse(&self.host.read(1, "mountinfo")?);
        for mount in self.mounts_before.borrow().iter() {
            if let Some(at) = now.iter().position(|it| it == mount) {
                now.remove(at);
            }
        }
        Ok(now)
    }

    /// Mounts an empty file system on the host, before the program. It goes with the host, and so does what is written there.
    ///
    /// # Errors
    /// Those of mount(2).
    pub fn mount_tmpfs(&self, point: &Path) -> Result<()> {
        mount(Some("tmpfs"), point, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount(\"tmpfs\", {point:?}, \"tmpfs\")"))?;
        self.take_stock()
    }

    /// From now on, what is mounted now was there before the program.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn take_stock(&self) -> Result<()> {
        *self.mounts_before.borrow_mut() = mounts::parse(&self.host.read(1, "mountinfo")?);
        Ok(())
    }

    /// What a file of this process's own in /proc holds.
    ///
    /// # Errors
    /// Those of open(2) and read(2).
    pub fn own(&self, name: &str) -> io::Result<Vec<u8>> {
        self.machine.read(None, name)
    }

    /// Puts a file into ./rootfs, which has it no longer when the marker is gone.
    ///
    /// # Errors
    /// When nobody can write there.
    pub fn mark_rootfs(&self) -> Result<Marker> {
        let path = self.folder.join("rootfs").join(format!(".exam-{}", std::process::id()));
        fs::write(&path, "").with_context(|| format!("writing {}", path.display()))?;
        let marker = Marker(path);
        fs::set_permissions(&marker.0, Permissions::from_mode(0o644)).context("chmod")?;
        Ok(marker)
    }

    /// An empty folder of the host's, which goes with it.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn scratch(&self) -> Result<Scratch> {
        // A path with a colon would be two in `-v HOST:CONTAINER`.
        let folders = [env::temp_dir(), "/tmp".into()];
        let folder =
            folders.iter().find(|it| !it.to_string_lossy().contains([':', ','])).context("no folder for files")?;
        let path = folder.join(format!("mini-docker-exam-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let scratch = Scratch(path);
        self.mount_tmpfs(scratch.path())?;
        Ok(scratch)
    }

    /// The host's own root, as it is mounted.
    pub fn root_mount(&self) -> Option<Mount> {
        self.mount_at(Path::new("/"))
    }

    /// What was mounted on the host before the program, at just this place.
    pub fn mount_at(&self, point: &Path) -> Option<Mount> {
        self.mounts_before.borrow().iter().rfind(|mount| mount.point == point).cloned()
    }

    /// The mounts that were there before, and are no more.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub fn gone_mounts(&self) -> Result<Vec<Mount>> {
        let now = mounts::parse(&self.host.read(1, "mountinfo")?);
        Ok(self.mounts_before.borrow().iter().filter(|mount| !now.contains(mount)).cloned().collect())
    }

    /// The peer groups of the host's mounts: whoever is in one of them passes mounts on to the host.
    pub fn peer_groups(&self) -> Vec<u32> {
        self.mounts_before.borrow().iter().filter_map(|mount| mount.peers).collect()
    }

    /// How many proc file systems the host has mounted.
    pub fn count_procs(&self) -> usize {
        self.mounts_before.borrow().iter().filter(|mount| mount.kind == "proc").count()
    }

    /// The host's own name, now. The examiner is in its UTS namespace.
    ///
    /// # Errors
    /// Those of gethostname(2).
    pub fn name(&self) -> nix::Result<String> {
        gethostname().map(|name| name.to_string_lossy().into_owned())
    }

    /// The hostname as `pid` sees it.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn name_of(&self, pid: Pid) -> Result<String> {
        self.inside(pid, "ns/uts", CloneFlags::CLONE_NEWUTS, || self.name())?.context("gethostname")
    }

    /// All mounts of the mount namespace of `pid`, also those outside of its root, which its own table leaves out.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn mounts_around(&self, pid: Pid) -> Result<Vec<Mount>> {
        let look = || self.machine.read(None, "mountinfo");
        Ok(mounts::parse(&self.inside(pid, "ns/mnt", CloneFlags::CLONE_NEWNS, look)??))
    }

    /// The root of the mount namespace of `pid`, which is not what a chroot in there calls `/`.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn root_around(&self, pid: Pid) -> Result<FileId> {
        // setns(2) puts us there.
        self.inside(pid, "ns/mnt", CloneFlags::CLONE_NEWNS, || id_of(Path::new("/")))?.context("stat(\"/\")")
    }

    /// What somebody in there finds who unmounts the root of the mount namespace of `pid` and enters the namespace anew: the
    /// mounts that it was moved over, which no table shows as long as they are covered.
    ///
    /// # Errors
    /// Those of setns(2) and unshare(2).
    pub fn mounts_underneath(&self, pid: Pid) -> Result<Vec<Mount>> {
        // Who shares his mounts with the host, which is another's to judge, would have us unmount the host's.
        if !self.new_mounts()?.is_empty() {
            return Ok(Vec::new());
        }
        self.inside(pid, "ns/mnt", CloneFlags::CLONE_NEWNS, || {
            // In a copy, which nobody else sees, and which is gone when we leave it.
            unshare(CloneFlags::CLONE_NEWNS).context("unshare(CLONE_NEWNS)")?;
            let copy = self.machine.file(None, "ns/mnt").context("open(\"/proc/self/ns/mnt\")")?;
            let mut underneath = Vec::new();
            for _ in 0..MOST_LAYERS {
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                    .context("mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL)")?;
                // EINVAL: nothing is underneath, or a user namespace may not see what is. Nor may whoever is in there.
                if umount2("/", MntFlags::MNT_DETACH).is_err() || setns(&copy, CloneFlags::CLONE_NEWNS).is_err() {
                    break;
                }
                underneath.extend(mounts::parse(&self.machine.read(None, "mountinfo")?));
            }
            Ok(underneath)
        })?
    }

    /// Which place is it that a descriptor of ours leads to?
    ///
    /// # Errors
    /// Those of fstat(2), and when /proc can't be read.
    pub fn place(&self, folder: &OwnedFd) -> Result<Place> {
        // The only one that tells the mount's number is proc_pid_fdinfo(5).
        let info = self.machine.read(None, &format!("fdinfo/{}", folder.as_raw_fd())).context("reading fdinfo")?;
        let info = String::from_utf8_lossy(&info);
        let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
        Ok(Place { folder: fstat(folder)?.into(), mount: mount.context("fdinfo has no mnt_id")? })
    }

    /// Is that folder the root, or below it? Whoever climbs from it by `..` then stops there.
    ///
    /// # Errors
    /// Those of [`Exam::place`].
    pub fn is_in_root(&self, folder: OwnedFd, root: Place) -> Result<bool> {
        let mut folder = folder;
        for _ in 0..HIGHEST {
            let here = self.place(&folder)?;
            if here == root {
                return Ok(true);
            }
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            // Where we may not climb, such as for EACCES, nobody in there may, who has no more rights.
            let Ok(above) = openat(&folder, "..", flags, Mode::empty()) else { return Ok(true) };
            if self.place(&above)? == here {
                return Ok(false);
            }
            folder = above;
        }
        Ok(false)
    }

    /// Does something in the network namespace of `pid`. A socket that is made there stays there.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn in_network_of<T>(&self, pid: Pid, does: impl FnOnce() -> T) -> Result<T> {
        self.inside(pid, "ns/net", CloneFlags::CLONE_NEWNET, does)
    }

    /// Does something in the namespace of `pid`, and comes back.
    fn inside<T>(&self, pid: Pid, file: &str, kind: CloneFlags, look: impl FnOnce() -> T) -> Result<T> {
        let home = self.machine.file(None, file).with_context(|| format!("open(\"/proc/self/{file}\")"))?;
        let there = self.host.file(pid, file).with_context(|| format!("open(\"/proc/{pid}/{file}\")"))?;
        setns(there, kind).with_context(|| format!("setns({file})"))?;
        let seen = look();
        setns(home, kind).with_context(|| format!("setns({file}), back"))?;
        Ok(seen)
    }

    /// Sends a signal to a process of the host's; that it has just ended is no error.
    ///
    /// # Errors
    /// When there is none of that number, or those of kill(2).
    pub fn signal(&self, pid: Pid, signal: Signal) -> Result<()> {
        // kill(2) takes the number that the process has for us.
        let numbers = |outer: Pid| self.machine.process(outer).map(|it| it.numbers).unwrap_or_default();
        let is_it = |outer: &Pid| numbers(*outer).get(1) == Some(&pid) && self.is_on_host(*outer);
        let outer =
            self.machine.pids()?.into_iter().find(is_it).with_context(|| format!("there is no process {pid}"))?;
        match kill(nix::unistd::Pid::from_raw(outer.cast_signed()), signal) {
            Err(Errno::ESRCH) => Ok(()),
            result => result.with_context(|| format!("kill({outer}, {signal})")),
        }
    }

    /// Is that process, by its number on the machine, on this host, and not on another?
    fn is_on_host(&self, outer: Pid) -> bool {
        let init = self.init.borrow().id();
        let namespace = |pid: Pid| self.machine.id(pid, "ns/pid").ok();
        // In the host's own PID namespace, or in one that is nested in it.
        namespace(outer).is_some() && (namespace(outer) == namespace(init) || self.descends(outer, init))
    }

    /// Is `outer` a descendant of this process, as all on the host are?
    fn descends(&self, outer: Pid, init: Pid) -> bool {
        let mut pid = outer;
        for _ in 0..64 {
            match self.machine.process(pid) {
                Some(process) if process.parent == std::process::id() || process.parent == init => return true,
                Some(process) if process.parent > 1 => pid = process.parent,
                _ => return false,
            }
        }
        false
    }

    /// Is there a process of that number, as the machine counts?
    pub fn is_on_machine(&self, pid: Pid) -> bool {
        self.machine.process(pid).is_some()
    }

    /// Ends the host, and with it all that runs on it.
    pub fn close(&self) {
        if self.is_closed.replace(true) {
            return;
        }
        let mut init = self.init.borrow_mut();
        let _ = init.kill();
        // The kernel lets process 1 end when nothing is left in its namespace, not even a zombie, and the programs that we
        // started are our zombies. nix can't decode a death by real-time signal, which is no reason to stop.
        let is_init = |dead: WaitStatus| dead.pid().is_some_and(|pid| pid.as_raw().cast_unsigned() == init.id());
        loop {
            match nix::sys::wait::wait() {
                Err(Errno::ECHILD) => return,
                Ok(dead) if is_init(dead) => return,
                _ => {}
            }
        }
    }

    /// Is the time up, or are there too many processes?
    fn limits(&self) -> Result<(), Trouble> {
        let guests = self.count_guests()?;
        if guests > MOST_PROCESSES {
            self.close();
            let seen = format!("{guests} processes on the host that were not there before");
            return Err(Trouble::Fault(fail(
                Diagnosis::ForksWithoutEnd,
                seen,
                format!("no more than {MOST_PROCESSES}"),
            )));
        }
        if self.clock.read() > TIME_LIMIT || self.clock.start.elapsed() > WALL_LIMIT {
            let guests = self.guests()?;
            let lines: Vec<_> =
                guests.iter().take(4).map(|it| format!("{} {} {}", it.pid, it.state, it.line())).collect();
            self.close();
            let seen = format!("after {} s it still runs: {}", self.clock.start.elapsed().as_secs(), lines.join("; "));
            // An interpreter is slow to start, and so to reach that number.
            let alike = |it: &Process| guests.iter().filter(|other| other.args == it.args).count();
            let diagnosis = match guests.iter().map(alike).max() {
                Some(number) if number > MOST_ALIKE => Diagnosis::ForksWithoutEnd,
                _ => Diagnosis::TooLong,
            };
            return Err(Trouble::Fault(fail(diagnosis, seen, "an end")));
        }
        Ok(())
    }
}

impl Drop for Exam {
    fn drop(&mut self) {
        self.close();
    }
}

/// Time as the examiner counts it: it looks around every millisecond or so, and when a busy machine lets it do so only now
/// and then, that is not the program's fault, which the machine has kept waiting as well.
#[derive(Debug)]
struct Clock {
    start: Instant,
    last: Cell<Instant>,
    counted: Cell<Duration>,
}

impl Clock {
    /// From one glance to the next no more than this is counted.
    const LONGEST: Duration = Duration::from_millis(10);

    fn new() -> Clock {
        let now = Instant::now();
        Clock { start: now, last: Cell::new(now), counted: Cell::new(Duration::ZERO) }
    }

    fn glance(&self) {
        let now = Instant::now();
        let passed = now.duration_since(self.last.replace(now));
        self.counted.set(self.counted.get() + passed.min(Clock::LONGEST));
    }

    fn read(&self) -> Duration {
        self.counted.get()
    }
}

/// A run of the learner's program.
#[derive(Debug)]
pub struct Run<'a> {
    exam: &'a Exam,
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it has written to stdout so far, and to stderr too if those are one.
    pub out: Tap,
    err: Option<Tap>,
    status: Option<ExitStatus>,
    remains: Option<Remains>,
    setgroups: Option<SetgroupsWatch>,
}

/// What the kernel still says of a program that has ended, until its exit status is fetched: its user namespace.
#[derive(Clone, Debug)]
pub struct Remains {
    /// Was it the host's?
    pub in_hosts_user_namespace: bool,
    /// Who is who in it: one line a range.
    pub uid_map: String,
    /// See `uid_map`.
    pub gid_map: String,
    /// Was setgroups(2) still allowed in it?
    pub allows_setgroups: bool,
}

impl Run<'_> {
    /// The program's number on the host.
    pub fn pid(&self) -> Result<Pid, Trouble> {
        // We are outside of the host's PID namespace, and std tells us what we call the child.
        let process = self.exam.machine.process(self.child.id());
        let number = process.and_then(|it| it.numbers.get(1).copied());
        Ok(number.context("the program has no number on the host")?)
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let id = Id::Pid(nix::unistd::Pid::from_raw(self.child.id().cast_signed()));
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            // An error is of nix, which knows no real-time signal: then it has ended by one. While it lives, its status is not
            // asked for: it could end just then, and its remains would be gone before we had looked.
            if waitid(id, flags) != Ok(WaitStatus::StillAlive) {
                self.remains = self.look_at_remains();
                self.status = self.child.try_wait().ok().flatten();
            }
        }
        self.status
    }

    /// Does it wait for something?
    pub fn is_asleep(&self) -> bool {
        self.is_in_state('S')
    }

    fn is_in_state(&self, state: char) -> bool {
        self.exam.machine.process(self.child.id()).is_some_and(|it| it.state == state)
    }

    /// Has it written to its own /proc/self/setgroups? None if nobody has watched.
    pub fn wrote_setgroups(&self) -> Option<bool> {
        self.setgroups.as_ref().map(SetgroupsWatch::was_written)
    }

    fn look_at_remains(&self) -> Option<Remains> {
        let (machine, pid, init) = (&self.exam.machine, self.child.id(), self.exam.init.borrow().id());
        let map = |name| machine.read(pid, name).map(|map| String::from_utf8_lossy(&map).into_owned());
        Some(Remains {
            in_hosts_user_namespace: machine.id(pid, "ns/user").ok()? == machine.id(init, "ns/user").ok()?,
            uid_map: map("uid_map").ok()?,
            gid_map: map("gid_map").ok()?,
            allows_setgroups: map("setgroups").ok()?.trim() == "allow",
        })
    }

    /// What was left of the program when it had ended.
    pub fn remains(&self) -> Option<&Remains> {
        self.remains.as_ref()
    }

    /// Waits until `sees` returns something, or the program and all it started has ended, or `patience` is over: then none.
    ///
    /// # Errors
    /// When the program breaks a limit.
    pub fn watch<T>(
        &mut self,
        patience: Duration,
        mut sees: impl FnMut(&mut Self) -> Result<Option<T>, Trouble>,
    ) -> Result<Option<T>, Trouble> {
        let end = self.exam.clock.read() + patience;
        loop {
            self.listen(GLANCE)?;
            self.exam.clock.glance();
            // First, for a look at thousands takes long.
            self.exam.limits()?;
            // Before the look, so that what happened just before the end is not missed.
            let ended = self.status().is_some() && self.exam.guests()?.is_empty();
            if let Some(seen) = sees(self)? {
                return Ok(Some(seen));
            }
            if ended || self.exam.clock.read() > end {
                return Ok(None);
            }
        }
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// When it does not end in time, or breaks another limit.
    pub fn wait(&mut self) -> Result<ExitStatus, Trouble> {
        // The limit of the whole exam is over before, and says so.
        let status = self.watch(2 * TIME_LIMIT, |run| Ok(run.status()))?;
        let status = status.or(self.status).context("the program has ended without a status")?;
        self.listen(Duration::ZERO)?;
        Ok(status)
    }

    /// The processes still there when those that are ending have had their time.
    ///
    /// # Errors
    /// When a limit is broken.
    pub fn left_behind(&mut self) -> Result<Vec<Process>, Trouble> {
        let none = self.watch(CLEAN_UP, |run| Ok(run.exam.guests()?.is_empty().then_some(())))?;
        // What the last of them has written.
        self.listen(Duration::ZERO)?;
        Ok(if none.is_some() { Vec::new() } else { self.exam.guests()? })
    }

    /// Types a line to the program's stdin. That nobody reads it is no error.
    pub fn type_line(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            // Rust ignores SIGPIPE, so a closed pipe is an error, and so is a full one. Otherwise a few bytes always fit.
            let _ = stdin.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Closes the program's stdin.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// What it has written to stderr, or to both if they are one.
    pub fn stderr(&self) -> String {
        self.err.as_ref().unwrap_or(&self.out).text()
    }

    /// Takes what the program has written, waiting for it no longer than `patience`.
    fn listen(&mut self, patience: Duration) -> Result<(), Trouble> {
        let mut taps: Vec<&mut Tap> =
            [Some(&mut self.out), self.err.as_mut()].into_iter().flatten().filter(|it| !it.ended).collect();
        if taps.is_empty() {
            std::thread::sleep(patience);
            return Ok(());
        }
        let mut fds: Vec<PollFd<'_>> =
            taps.iter().map(|tap| PollFd::new(tap.pipe.as_fd(), PollFlags::POLLIN)).collect();
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        let ready = poll(&mut fds, patience);
        if ready.or_else(|errno| if errno == Errno::EINTR { Ok(0) } else { Err(errno) })? == 0 {
            return Ok(());
        }
        for tap in &mut taps {
            tap.take()?;
        }
        let total: u64 = taps.iter().map(|tap| tap.total).sum();
        if total > MOST_OUTPUT {
            self.exam.close();
            let seen = format!("more than {} MiB of output", MOST_OUTPUT >> 20);
            return Err(Trouble::Fault(fail(
                Diagnosis::WritesWithoutEnd,
                seen,
                "what the command writes, and no more",
            )));
        }
        Ok(())
    }
}

/// Stops itself, and becomes the program when it is let go.
const HALTED: [&str; 4] = ["sh", "-c", r#"kill -STOP $$; exec "$@""#, "sh"];

/// A watch on a process's setgroups file. A user namespace that is made in one where setgroups(2) is denied has it denied from
/// the beginning, as that of an ordinary user's throwaway host: what the file holds says nothing, but inotify(7) tells of a write.
#[derive(Debug)]
struct SetgroupsWatch {
    events: Inotify,
    /// Open, so that the kernel does not forget the files that are watched: /proc makes them anew.
    _files: Vec<File>,
}

impl SetgroupsWatch {
    /// Of a process that does nothing yet. By another path than /proc it could not write there, for it has none.
    fn on(pid: Pid) -> Result<SetgroupsWatch> {
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).context("inotify_init1")?;
        let mut files = Vec::new();
        // /proc/self, and /proc/thread-self.
        for path in [format!("/proc/{pid}/setgroups"), format!("/proc/{pid}/task/{pid}/setgroups")] {
            files.push(File::open(&path).with_context(|| format!("open({path:?})"))?);
            events
                .add_watch(path.as_str(), AddWatchFlags::IN_MODIFY)
                .with_context(|| format!("inotify_add_watch({path:?})"))?;
        }
        Ok(SetgroupsWatch { events, _files: files })
    }

    fn was_written(&self) -> bool {
        self.events.read_events().is_ok_and(|events| !events.is_empty())
    }
}

/// A pipe that the program writes to, and the first of what it wrote.
#[derive(Debug)]
pub struct Tap {
    pipe: PipeReader,
    kept: Vec<u8>,
    total: u64,
    ended: bool,
}

impl Tap {
    fn new(pipe: PipeReader) -> Result<Tap, Trouble> {
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Tap { pipe, kept: Vec::new(), total: 0, ended: false })
    }

    /// Takes what is there, but not for ever: who writes faster than we read must not keep us here.
    fn take(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        for _ in 0..16 {
            match self.pipe.read(&mut bytes) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(length) => {
                    self.total += length as u64;
                    let room = KEPT_OUTPUT.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&bytes[..length.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was kept of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// Does what starts a process, so that it and its children leave one CPU alone: among hundreds of them, each busy with
/// starting more, we would get to work once in some seconds only.
fn on_all_but_one_cpu<T>(start: impl FnOnce() -> T) -> nix::Result<T> {
    let us = nix::unistd::Pid::from_raw(0);
    let ours = sched_getaffinity(us)?;
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu) == Ok(true)).collect();
    let mut theirs = ours;
    if cpus.len() > 1 {
        // Of many examiners each leaves another.
        theirs.unset(cpus[std::process::id() as usize % cpus.len()])?;
    }
    sched_setaffinity(us, &theirs)?;
    let started = start();
    sched_setaffinity(us, &ours)?;
    Ok(started)
}

/// Closes what a careless caller has left open for us, so that no program has it from us.
fn close_inherited() -> io::Result<()> {
    let fds = fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for fd in fds.filter(|fd| *fd > 2).collect::<Vec<i32>>() {
        // One of them was the folder that we read, and is closed already.
        let _ = close(fd);
    }
    Ok(())
}

/// Where the kernel has its cgroups.
pub const CGROUPS: &str = "/sys/fs/cgroup";

/// Covers what a root's program could leave on the machine without its being a file: cgroups, and names of network namespaces,
/// which ip-netns(8) keeps in /run/netns. The exercise about cgroups uncovers the first, for its own.
fn cover() -> Result<()> {
    for (point, flags) in [(CGROUPS, MsFlags::MS_RDONLY), ("/run/netns", MsFlags::empty())] {
        if Path::new(point).is_dir() {
            mount(Some("tmpfs"), point, Some("tmpfs"), flags, None::<&str>)
                .with_context(|| format!("mount(\"tmpfs\", {point:?}, \"tmpfs\")"))?;
        }
    }
    Ok(())
}

/// Lets the machine's cgroups be seen again.
///
/// # Errors
/// Those of umount2(2).
pub fn uncover_cgroups() -> Result<()> {
    if Path::new(CGROUPS).is_dir() {
        umount2(CGROUPS, MntFlags::MNT_DETACH).with_context(|| format!("umount2({CGROUPS:?}, MNT_DETACH)"))?;
    }
    Ok(())
}

/// The host's /proc, that which its init has mounted, by a mount that hangs nowhere: over a file in it nothing can be mounted,
/// such as another namespace over /proc/PID/ns.
fn proc_of_our_own() -> Result<Proc> {
    let bind = MsFlags::MS_BIND;
    mount(Some("/proc"), "/proc", None::<&str>, bind, None::<&str>).context("mount(\"/proc\", \"/proc\", MS_BIND)")?;
    let proc = Proc::open(Path::new("/proc")).context("open(\"/proc\")")?;
    umount2("/proc", MntFlags::MNT_DETACH).context("umount2(\"/proc\", MNT_DETACH)")?;
    Ok(proc)
}

/// Lets whatever this process starts from now on inherit `file`, as a careless caller does.
///
/// # Errors
/// Those of fcntl(2).
pub fn leak(file: &File) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).map(drop)
}
