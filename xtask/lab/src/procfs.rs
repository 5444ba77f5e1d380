//! The throwaway host's /proc, held open: what is read through it comes from the kernel, whatever the observed program
//! mounts. Errors are those of the system calls.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::signal::Signal;
use nix::sys::stat::{FileStat, Mode, fstatat, stat};

/// The PID of a process on the throwaway host.
pub type Pid = u32;

/// The kernel's flag, in `stat`, for a task that is exiting.
const PF_EXITING: u32 = 4;

/// The most that is read of a file, in bytes.
const LONGEST: u64 = 4 << 20;

/// Identifies a file, or a namespace, by device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u64, pub u64);

impl From<FileStat> for FileId {
    fn from(stat: FileStat) -> Self {
        FileId(stat.st_dev, stat.st_ino)
    }
}

/// One process, from its `status`, `stat` and `cmdline`: proc_pid_status(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number on the throwaway host.
    pub pid: Pid,
    /// Its numbers in each PID namespace it is in, the throwaway host's first.
    pub numbers: Vec<Pid>,
    /// Its parent's number; 0 if that is outside.
    pub parent: Pid,
    /// `R`, `S`, `Z`, …
    pub state: char,
    /// True if it is a zombie, is exiting, or has a SIGKILL pending, so that it is certain to end.
    pub is_ending: bool,
    /// When it was started, in clock ticks since boot: with `pid` it identifies a process for good.
    pub started: u64,
    /// Its command line.
    pub args: Vec<Vec<u8>>,
}

impl Process {
    /// Returns its number in the innermost PID namespace.
    pub fn inner_pid(&self) -> Pid {
        self.numbers.last().copied().unwrap_or(self.pid)
    }

    /// True if its command line is these words.
    pub fn has_line(&self, words: &[&str]) -> bool {
        self.args.len() == words.len() && self.ends_with(words)
    }

    /// True if its command line ends with these words.
    pub fn ends_with(&self, words: &[&str]) -> bool {
        let ours = self.args.iter().rev().take(words.len()).map(Vec::as_slice);
        ours.eq(words.iter().rev().map(|word| word.as_bytes()))
    }

    /// Returns the command line as a shell would accept it, shortened.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.args.iter().map(|word| String::from_utf8_lossy(word).replace('\n', " ")).collect();
        let line = words.join(" ");
        match line.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }
}

/// The text of a `status`, after a line's end: proc_pid_status(5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status(String);

impl Status {
    /// Wraps the bytes of the file.
    pub fn new(bytes: &[u8]) -> Status {
        Status(format!("\n{}", String::from_utf8_lossy(bytes)))
    }

    /// Returns the value of a field, without its name and blanks.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.0.split_once(&format!("\n{name}:"))?;
        rest.lines().next().map(str::trim)
    }

    /// Returns a hexadecimal set: of signals, such as `SigBlk`, where bit n - 1 is signal n, or of capabilities, such as `CapEff`.
    pub fn set(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.field(name)?, 16).ok()
    }

    /// Returns the numbers of a field, such as the four of `Uid`. A unit is left out.
    pub fn numbers<N: FromStr>(&self, name: &str) -> Vec<N> {
        self.field(name).unwrap_or_default().split_whitespace().filter_map(|it| it.parse().ok()).collect()
    }
}

/// True if a set of signals contains one.
pub fn contains(set: u64, signal: Signal) -> bool {
    set >> (signal as u32 - 1) & 1 == 1
}

/// A proc file system, held open by a descriptor of its top directory.
#[derive(Debug)]
pub struct Proc(pub OwnedFd);

impl Proc {
    /// Opens what is mounted at `path` now.
    pub fn open(path: &Path) -> nix::Result<Proc> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty()).map(Proc)
    }

    /// Returns the numbers of all processes.
    pub fn pids(&self) -> nix::Result<Vec<Pid>> {
        numbers(Dir::openat(&self.0, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// Opens a file of a process, such as `ns/uts`; without a `pid`, of `self`.
    pub fn file(&self, pid: impl Into<Option<Pid>>, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.0, path(pid, name).as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::empty())
    }

    /// Returns the place where a link of a process leads: `root`, `cwd`, `fd/3`. What is there, such as a device, isn't opened.
    pub fn place(&self, pid: Pid, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.0, path(pid, name).as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Reads a file of a process.
    pub fn read(&self, pid: impl Into<Option<Pid>>, name: &str) -> io::Result<Vec<u8>> {
        // Enough that one read(2) gets a command line: between two, the process could end or execute another program.
        let mut bytes = Vec::with_capacity(8 << 10);
        File::from(self.file(pid, name)?).take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the status of a process; without a `pid`, of `self`.
    pub fn status(&self, pid: impl Into<Option<Pid>>) -> io::Result<Status> {
        self.read(pid, "status").map(|bytes| Status::new(&bytes))
    }

    /// Returns the text of a link of a process: `cwd`, `fd/3`.
    pub fn link(&self, pid: Pid, name: &str) -> nix::Result<OsString> {
        readlinkat(&self.0, path(pid, name).as_str())
    }

    /// Identifies the file that a link of a process leads to: `root`, `cwd`, `exe`, `ns/uts`.
    pub fn id(&self, pid: Pid, name: &str) -> nix::Result<FileId> {
        fstatat(&self.0, path(pid, name).as_str(), AtFlags::empty()).map(FileId::from)
    }

    /// Opens `path` as the process would: in its root, also if a link in there is absolute.
    pub fn open_inside(&self, pid: Pid, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let root = self.file(pid, "root")?;
        // If a device is there, opening it must have no other effect.
        let harmless = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let flags = flags | OFlag::O_CLOEXEC | if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { harmless };
        openat2(root, path, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT))
    }

    /// Returns the numbers in a directory of a process: its descriptors in `fd`, its threads in `task`.
    pub fn numbers(&self, pid: Pid, directory: &str) -> nix::Result<Vec<u32>> {
        numbers(Dir::from_fd(self.file(pid, directory)?)?)
    }

    /// Returns the process of that number, if there is one.
    pub fn process(&self, pid: Pid) -> Option<Process> {
        let read = |name| self.read(pid, name).ok();
        let (status, stat, args) = (self.status(pid).ok()?, read("stat")?, read("cmdline")?);
        parse(pid, &status, &String::from_utf8_lossy(&stat), &args)
    }

    /// Returns all processes that live until they are read.
    pub fn processes(&self) -> nix::Result<Vec<Process>> {
        Ok(self.pids()?.into_iter().filter_map(|pid| self.process(pid)).collect())
    }
}

/// Identifies the file at a trusted path.
pub fn id_of(path: &Path) -> nix::Result<FileId> {
    stat(path).map(FileId::from)
}

fn path(pid: impl Into<Option<Pid>>, name: &str) -> String {
    pid.into().map_or_else(|| format!("self/{name}"), |pid| format!("{pid}/{name}"))
}

/// Returns the names in a directory that are numbers.
fn numbers(mut directory: Dir) -> nix::Result<Vec<u32>> {
    let names = directory.iter().filter_map(Result::ok);
    Ok(names.filter_map(|name| name.file_name().to_str().ok()?.parse().ok()).collect())
}

/// Reads a process from the text of three of its files. They are cut off if it ended meanwhile.
fn parse(pid: Pid, status: &Status, stat: &str, cmdline: &[u8]) -> Option<Process> {
    // The name, in parentheses, may contain anything, so count from the last one.
    let mut numbers = stat.rsplit_once(") ")?.1.split(' ');
    let flags: u32 = numbers.nth(6)?.parse().ok()?;
    let started = numbers.nth(12)?.parse().ok()?;
    let is_killed = |pending: &str| status.set(pending).is_some_and(|set| contains(set, Signal::SIGKILL));
    let state = status.field("State")?.chars().next()?;
    let words = cmdline.strip_suffix(b"\0").unwrap_or(cmdline).split(|byte| *byte == 0);
    Some(Process {
        pid,
        numbers: status.field("NSpid")?.split_whitespace().map(|it| it.parse().ok()).collect::<Option<_>>()?,
        parent: status.field("PPid")?.parse().ok()?,
        state,
        is_ending: "ZX".contains(state) || flags & PF_EXITING != 0 || is_killed("SigPnd") || is_killed("ShdPnd"),
        started,
        args: if cmdline.is_empty() { Vec::new() } else { words.map(<[u8]>::to_vec).collect() },
    })
}

/// True if the error only means that the process has ended.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Name:\tsh\nUmask:\t0022\nState:\tS (sleeping)\nPPid:\t14\nNSpid:\t15\t2\n";
    const STAT: &str = "15 (sh) (x) S 14 15 15 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3";

    fn read(pid: Pid, status: &str, stat: &str, cmdline: &[u8]) -> Option<Process> {
        parse(pid, &Status::new(status.as_bytes()), stat, cmdline)
    }

    #[test]
    fn the_fields_of_a_status_are_read() {
        let status =
            Status::new(b"Name:\tsh\nUid:\t0\t1\t2\t3\nVmHWM:\t    2044 kB\nSigCgt:\t0000000000004001\nGroups:\t \n");
        assert_eq!(status.field("Name"), Some("sh"));
        assert_eq!(status.field("Nam"), None);
        assert_eq!(status.numbers::<u32>("Uid"), [0, 1, 2, 3]);
        assert_eq!(status.numbers::<u64>("VmHWM"), [2044]);
        assert!(status.numbers::<u32>("Groups").is_empty() && status.numbers::<u32>("VmRSS").is_empty());
        let set = status.set("SigCgt").unwrap();
        assert!(contains(set, Signal::SIGTERM) && contains(set, Signal::SIGHUP) && !contains(set, Signal::SIGINT));
        assert_eq!((status.set("SigBlk"), status.set("Name")), (None, None));
    }

    #[test]
    fn what_is_cut_off_is_no_process() {
        assert_eq!(read(15, "", STAT, b""), None);
        assert_eq!(read(15, STATUS, "15 (sh", b""), None);
        assert_eq!(read(15, "State:\t\nPPid:\t1\nNSpid:\t1\n", STAT, b""), None);
    }

    #[test]
    fn a_process_without_a_command_line_has_no_words() {
        assert_eq!(read(15, STATUS, STAT, b"").unwrap().args, Vec::<Vec<u8>>::new());
        assert_eq!(read(15, STATUS, STAT, b"\0").unwrap().args, [b"".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_process_or_none(pid: Pid, status: String, stat: String, cmdline: Vec<u8>) {
            let _ = read(pid, &status, &stat, &cmdline);
            let _ = read(pid, &format!("{STATUS}{status}"), &format!("{STAT}{stat}"), &cmdline).map(|it| it.line());
            let _ = read(pid, STATUS, &format!("15 ({stat}"), &cmdline);
        }

        #[test]
        fn whatever_a_process_calls_itself_it_is_read(
            name in r"(\) |\(|\n|[^\x00]){0,15}",
            args in prop::collection::vec(prop::collection::vec(1_u8.., 0..20), 1..5),
            numbers in prop::collection::vec(1..4_194_304_u32, 1..5),
            parent: Pid,
            started: u64,
        ) {
            // The kernel escapes a line's end in `status`, but in `stat` nothing: proc_task_name() in fs/proc/array.c.
            let escaped = name.replace('\\', "\\\\").replace('\n', "\\n");
            let inner: Vec<String> = numbers.iter().map(u32::to_string).collect();
            let status = format!("Name:\t{escaped}\nState:\tR (running)\nPPid:\t{parent}\nNSpid:\t{}\n", inner.join("\t"));
            let stat = format!("{} ({name}) R {parent}{} {started} 4 5\n", numbers[0], " 0".repeat(17));
            let cmdline: Vec<u8> = args.iter().flat_map(|word| [word, &b"\0"[..]].concat()).collect();
            let process = read(numbers[0], &status, &stat, &cmdline).unwrap();
            prop_assert!(!process.line().contains('\n') && process.line().chars().count() <= 61);
            prop_assert_eq!(Some(process.inner_pid()), numbers.last().copied());
            let expected = Process { pid: numbers[0], numbers, parent, state: 'R', is_ending: false, started, args };
            prop_assert_eq!(process, expected);
        }
    }
}
