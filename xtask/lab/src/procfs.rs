//! The throwaway host's /proc, held open: what is read through it is the kernel's word, wherever the program that is looked
//! at mounts something.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat};

/// A process's number, as the throwaway host counts.
pub type Pid = u32;

/// No file of /proc that is read here is longer on a machine of good will.
const LONGEST: u64 = 4 << 20;

/// What stat(2) tells two files apart by: the device and the inode. Of a namespace: the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(u64, u64);

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
    /// When it was started, in clock ticks since boot: with `pid` it names one process for good.
    pub started: u64,
    /// Its command line.
    pub args: Vec<Vec<u8>>,
}

impl Process {
    /// Its number in the innermost PID namespace.
    pub fn inner_pid(&self) -> Pid {
        self.numbers.last().copied().unwrap_or(self.pid)
    }

    /// Is its command line just these words?
    pub fn has_line(&self, words: &[&str]) -> bool {
        self.args.iter().map(Vec::as_slice).eq(words.iter().map(|word| word.as_bytes()))
    }

    /// Does its command line end with these words?
    pub fn ends_with(&self, words: &[&str]) -> bool {
        let ours = self.args.iter().rev().take(words.len()).map(Vec::as_slice);
        ours.eq(words.iter().rev().map(|word| word.as_bytes()))
    }

    /// The command line as a shell would take it, cut short.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.args.iter().map(|word| String::from_utf8_lossy(word).replace('\n', " ")).collect();
        let line = words.join(" ");
        match line.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }
}

/// A proc file system, held open by a descriptor of its top folder.
#[derive(Debug)]
pub struct Proc(OwnedFd);

impl Proc {
    /// Opens what is mounted at `path` now.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open(path: &Path) -> nix::Result<Proc> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty()).map(Proc)
    }

    /// The one that a folder is the top of.
    pub fn at(folder: OwnedFd) -> Proc {
        Proc(folder)
    }

    /// The numbers of all processes.
    ///
    /// # Errors
    /// Those of getdents64(2).
    pub fn pids(&self) -> nix::Result<Vec<Pid>> {
        let mut folder = Dir::openat(&self.0, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let names = folder.iter().filter_map(Result::ok);
        Ok(names.filter_map(|name| name.file_name().to_str().ok()?.parse().ok()).collect())
    }

    /// Opens a file of a process's, such as `ns/uts`; of `self`, where `pid` is none.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn file(&self, pid: impl Into<Option<Pid>>, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.0, path(pid, name).as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::empty())
    }

    /// Where a link of a process's leads: `root`, `cwd`, `fd/3`. That is not opened, so nothing happens to a device, say.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn place(&self, pid: Pid, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.0, path(pid, name).as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// What a file of a process's holds.
    ///
    /// # Errors
    /// Those of openat(2) and read(2).
    pub fn read(&self, pid: impl Into<Option<Pid>>, name: &str) -> io::Result<Vec<u8>> {
        // So much that one read(2) gets a command line, which is consistent: between two, the process could end or execute another.
        let mut bytes = Vec::with_capacity(8 << 10);
        std::fs::File::from(self.file(pid, name)?).take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Where a link of a process's leads, in words: `cwd`, `fd/3`.
    ///
    /// # Errors
    /// Those of readlink(2).
    pub fn link(&self, pid: Pid, name: &str) -> nix::Result<OsString> {
        readlinkat(&self.0, path(pid, name).as_str())
    }

    /// Which file a link of a process's leads to: `root`, `cwd`, `exe`, `ns/uts`.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn id(&self, pid: Pid, name: &str) -> nix::Result<FileId> {
        fstatat(&self.0, path(pid, name).as_str(), AtFlags::empty()).map(FileId::from)
    }

    /// Opens `path` as the process would: in its root, also where a link in there is absolute.
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open_inside(&self, pid: Pid, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let root = self.file(pid, "root")?;
        // Of a device that is in its way, an open must not make more.
        let harmless = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let flags = flags | OFlag::O_CLOEXEC | if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { harmless };
        openat2(root, path, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT))
    }

    /// The numbers of its open descriptors.
    ///
    /// # Errors
    /// Those of openat(2) and getdents64(2).
    pub fn descriptors(&self, pid: Pid) -> nix::Result<Vec<u32>> {
        let mut folder = Dir::from_fd(self.file(pid, "fd")?)?;
        let names = folder.iter().filter_map(Result::ok);
        Ok(names.filter_map(|name| name.file_name().to_str().ok()?.parse().ok()).collect())
    }

    /// The process of that number, if there is one.
    pub fn process(&self, pid: Pid) -> Option<Process> {
        let status = self.read(pid, "status").ok()?;
        let stat = self.read(pid, "stat").ok()?;
        let args = self.read(pid, "cmdline").ok()?;
        parse(pid, &String::from_utf8_lossy(&status), &String::from_utf8_lossy(&stat), &args)
    }

    /// All processes that are there while it looks.
    ///
    /// # Errors
    /// Those of [`Proc::pids`].
    pub fn processes(&self) -> nix::Result<Vec<Process>> {
        Ok(self.pids()?.into_iter().filter_map(|pid| self.process(pid)).collect())
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Which file is at `path`, for someone who trusts the path.
///
/// # Errors
/// Those of stat(2).
pub fn id_of(path: &Path) -> nix::Result<FileId> {
    nix::sys::stat::stat(path).map(FileId::from)
}

fn path(pid: impl Into<Option<Pid>>, name: &str) -> String {
    match pid.into() {
        Some(pid) => format!("{pid}/{name}"),
        None => format!("self/{name}"),
    }
}

/// A process from the text of three of its files; none if they are not what proc_pid_status(5) and proc_pid_stat(5) say, as
/// when it ended in between.
fn parse(pid: Pid, status: &str, stat: &str, cmdline: &[u8]) -> Option<Process> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let numbers: Vec<Pid> = field("NSpid")?.split_whitespace().map(|it| it.parse().ok()).collect::<Option<_>>()?;
    // Between the parentheses of the name there may be anything, so count from the last.
    let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let args = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    Some(Process {
        pid,
        // A /proc of an inner namespace lists the numbers from its own inwards, so the first is `pid` itself.
        numbers,
        parent: field("PPid")?.parse().ok()?,
        state: field("State")?.chars().next()?,
        started,
        args: if cmdline.is_empty() { Vec::new() } else { args.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect() },
    })
}

/// Is that error only a process that has ended meanwhile?
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Name:\tsh\nUmask:\t0022\nState:\tS (sleeping)\nPPid:\t14\nNSpid:\t15\t2\n";
    const STAT: &str = "15 (sh) (x) S 14 15 15 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 2 3";

    #[test]
    fn a_process_is_read() {
        let process = parse(15, STATUS, STAT, b"sh\0-c\0\0two words\0").unwrap();
        assert_eq!((process.parent, process.state, process.started), (14, 'S', 4711));
        assert_eq!((process.numbers.as_slice(), process.inner_pid()), ([15, 2].as_slice(), 2));
        assert_eq!(process.args, [b"sh".to_vec(), b"-c".to_vec(), b"".to_vec(), b"two words".to_vec()]);
    }

    #[test]
    fn what_is_cut_off_is_no_process() {
        assert_eq!(parse(15, "", STAT, b""), None);
        assert_eq!(parse(15, STATUS, "15 (sh", b""), None);
        assert_eq!(parse(15, "State:\t\nPPid:\t1\nNSpid:\t1\n", STAT, b""), None);
    }

    #[test]
    fn a_process_without_a_command_line_has_no_words() {
        assert_eq!(parse(15, STATUS, STAT, b"").unwrap().args, Vec::<Vec<u8>>::new());
        assert_eq!(parse(15, STATUS, STAT, b"\0").unwrap().args, [b"".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_process_or_none(pid: Pid, status: String, stat: String, cmdline: Vec<u8>) {
            let _ = parse(pid, &status, &stat, &cmdline);
            let _ = parse(pid, &format!("{STATUS}{status}"), &format!("{STAT}{stat}"), &cmdline).map(|it| it.line());
            let _ = parse(pid, STATUS, &format!("15 ({stat}"), &cmdline);
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
            let process = parse(numbers[0], &status, &stat, &cmdline).unwrap();
            prop_assert!(!process.line().contains('\n') && process.line().chars().count() <= 61);
            let expected = Process { pid: numbers[0], numbers, parent, state: 'R', started, args };
            prop_assert_eq!(process, expected);
        }
    }
}
