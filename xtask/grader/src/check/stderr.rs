//! Chooses a diagnosis from what a program wrote to stderr. This doesn't decide the verdict: the kernel shows that the command
//! never ran. But a process that has ended can't be observed any more, and the call and the errno that it named reveal the
//! misconception.

use std::io;

use nix::errno::Errno::{self, EAGAIN, EBUSY, EFAULT, EINVAL, ELOOP, ENODEV, ENOENT, ENOMEM, ENOSPC, EPERM};

use super::diagnosis::Diagnosis;

/// Alternatives, one of which must occur.
type AnyOf = &'static [&'static str];

/// The words that begin a system call's name.
const CALLS: [&str; 7] = ["chroot", "mount", "pivot", "umount", "unmount", "mknod", "unshare"];

/// A word from each group, the errno if any, and the diagnosis. The first row that fits counts.
const MEANINGS: &[(&[AnyOf], Option<Errno>, Diagnosis)] = &[
    // The first step asks for its parent by getppid(2).
    (&[&["/proc/ppid/exe", "/proc/0/exe"]], Some(ENOENT), Diagnosis::NoParentNumber),
    (&[&["no module named"]], None, Diagnosis::ImportsAfterChroot),
    // The words of Python and Rust, of Go, and of shells.
    (&[&["'run'", "(\"run\")"]], Some(ENOENT), Diagnosis::ExecutedRun),
    (&[&["exec: \"run\"", "run: not found", "run: command not found"]], None, Diagnosis::ExecutedRun),
    (&[&["occurred in preexec_fn"]], None, Diagnosis::PreexecFailed),
    (&[&["open /dev/null", "'/dev/null'", "open(\"/dev/null\")"]], Some(ENOENT), Diagnosis::DevNullOpened),
    // A shell that gets the command's words as a script.
    (&[&["\nsh: "], &["syntax error", "unexpected eof"]], None, Diagnosis::WordsLost),
    // The words of ip(8).
    (&[&["cannot find device"]], None, Diagnosis::LinkNotThereYet),
    // The words of Python, sh, Perl and Node.
    (
        &[&["can't open file", "cannot open", "can't open", "cannot find module"], &["child"]],
        None,
        Diagnosis::ExeIsTheInterpreter,
    ),
    (&[&["chroot"]], Some(ENOENT), Diagnosis::ChdirBeforeChroot),
    (&[&["/proc/self/exe"]], Some(ENOENT), Diagnosis::SelfGone),
    // std's words for its current_exe().
    (&[&["no /proc/self/exe"]], None, Diagnosis::SelfGone),
    (&[&["pivot"]], Some(EINVAL), Diagnosis::PivotRefused),
    (&[&["pivot"]], Some(EBUSY), Diagnosis::PivotRefused),
    (&[&["umount", "unmount", "old"]], Some(EBUSY), Diagnosis::OldRootBusy),
    (&[&["mount"], &["proc"]], Some(EPERM), Diagnosis::ProcRefused),
    // The namespace that they would show is the host's.
    (&[&["mount"], &["mqueue"]], Some(EPERM), Diagnosis::ForeignMqueue),
    (&[&["mount"], &["sysfs"]], Some(EPERM), Diagnosis::ForeignSysfs),
    (&[&["mknod"]], Some(EPERM), Diagnosis::MknodRefused),
    (&[&["mount", "pivot"]], Some(ENOENT), Diagnosis::NothingToMountOn),
    // The words of mount(8).
    (&[&["mount point does not exist"]], None, Diagnosis::NothingToMountOn),
    (&[&["private", "slave", "propagation"]], Some(EINVAL), Diagnosis::NotAMountPoint),
    // "os thread" is Go's word, "spawn thread" Rust's.
    (&[&["unshare", "os thread", "spawn thread", "create thread"]], Some(EINVAL), Diagnosis::HasThreads),
    // A traceback names neither the call nor its flags, but perhaps the mount point.
    (&[&["'/'"]], Some(EINVAL), Diagnosis::NotAMountPoint),
    (&[&["mount"], &["overlay"]], Some(EINVAL), Diagnosis::OverlayInvalid),
    (&[&["mount"], &["overlay"]], Some(ELOOP), Diagnosis::OverlayInvalid),
    (&[&["setgid", "setgroups"]], Some(EPERM), Diagnosis::UserBeforeGroups),
    (&[], Some(EFAULT), Diagnosis::BadAddress),
    (&[&["[errno 0]", ": success"]], None, Diagnosis::ErrnoLost),
    (&[&["mount"]], Some(EINVAL), Diagnosis::MountInvalid),
    (&[&["mount"]], Some(ENODEV), Diagnosis::MountInvalid),
    // A shell's words for ENOMEM, and Go's for a missing PATH.
    (&[&["cannot fork"]], None, Diagnosis::InitGone),
    (&[&["not found in $path"]], None, Diagnosis::NoPath),
    (&[], Some(ENOMEM), Diagnosis::InitGone),
    (&[], Some(ENOSPC), Diagnosis::NestedTooDeep),
    // It reached the kernel's limit, and was gone before we had counted.
    (&[], Some(EAGAIN), Diagnosis::ForksWithoutEnd),
    // The names of Python's exceptions, and the word of Go's.
    (
        &[&[
            "syntaxerror:",
            "indentationerror:",
            "taberror:",
            "nameerror:",
            "attributeerror:",
            "typeerror:",
            "indexerror:",
            "unboundlocalerror:",
            "runtime error:",
        ]],
        None,
        Diagnosis::LanguageError,
    ),
    (&[&["usage"]], None, Diagnosis::NoContract),
];

/// What a program that has failed wrote to stderr, after a line's end.
#[derive(Debug)]
pub struct Stderr(String);

impl Stderr {
    /// Prepares the text for searches that ignore case.
    pub fn new(stderr: &str) -> Stderr {
        Stderr(format!("\n{}", stderr.to_lowercase()))
    }

    /// True if it contains these lower-case words.
    pub fn has(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    /// True if it names this call, and not only a file of that name. Ignores what chroot(1) writes when it can't run the
    /// command, because its own call has succeeded by then.
    fn calls(&self, call: &str) -> bool {
        let lines = self.0.lines().filter(|line| !line.contains("failed to run command"));
        lines.flat_map(|line| line.match_indices(call).map(move |(at, _)| line.split_at(at))).any(|(before, rest)| {
            let is_in_name = |c: char| c.is_alphanumeric() || "_-/".contains(c);
            let mut after = rest[call.len()..].chars();
            let is_extended =
                after.next().is_some_and(|c| ".-/".contains(c)) && after.next().is_some_and(char::is_alphanumeric);
            !before.ends_with(is_in_name) && !is_extended
        })
    }

    /// True if it names this errno: as `EINVAL`, as `Invalid argument`, or by its number as Rust, Python and Go write it.
    pub fn names(&self, errno: Errno) -> bool {
        let text = io::Error::from(errno).to_string();
        // Without the trailing `(os error 22)`.
        let text = text.split(" (").next().unwrap_or_default().to_lowercase();
        let name = format!("{errno:?}").to_lowercase();
        let number = errno as i32;
        let numbers = [format!("errno {number}]"), format!("os error {number})"), format!("errno={number})")];
        // BusyBox's words for it.
        let is_busybox = errno == EPERM && self.has("are you root?");
        is_busybox || [text, name].iter().chain(&numbers).any(|it| self.has(it))
    }

    /// True if it names one of the errnos that the system calls of a container have.
    pub fn names_an_errno(&self) -> bool {
        use Errno::{EACCES, EBADF, ECHILD, EEXIST, ENOEXEC, ENOTDIR, EROFS, ESRCH};
        [
            EPERM, ENOENT, EINVAL, EBUSY, ENODEV, ENOMEM, ENOSPC, EAGAIN, EACCES, EBADF, ECHILD, EEXIST, ENOEXEC,
            ENOTDIR, EROFS, ESRCH, EFAULT, ELOOP,
        ]
        .into_iter()
        .any(|errno| self.names(errno))
    }

    /// Returns what the words and the errno mean, if that is known.
    pub fn meaning(&self) -> Option<Diagnosis> {
        let says = |word: &&str| if CALLS.contains(word) { self.calls(word) } else { self.has(word) };
        let fits = |(words, errno, _): &&(&[AnyOf], Option<Errno>, Diagnosis)| {
            errno.is_none_or(|it| self.names(it)) && words.iter().all(|group| group.iter().any(says))
        };
        MEANINGS.iter().find(fits).map(|(_, _, diagnosis)| *diagnosis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_is_known_however_a_language_writes_it() {
        for said in [
            "mine: chroot: ENOENT: No such file or directory",
            "Error: chroot\n\nCaused by:\n    No such file or directory (os error 2)",
            "panic: chroot ./rootfs: no such file or directory\n\ngoroutine 1 [running]:\nmain.main()",
            "    os.chroot('rootfs')\nFileNotFoundError: [Errno 2] No such file or directory: 'rootfs'",
        ] {
            assert_eq!(Stderr::new(said).meaning(), Some(Diagnosis::ChdirBeforeChroot), "{said}");
        }
        let go = Stderr::new("runtime: failed to create new OS thread (have 2 already; errno=22)");
        assert_eq!(go.meaning(), Some(Diagnosis::HasThreads));
        // 22 ends with 2, and begins with it.
        let other = Stderr::new("chroot: os error 22), errno 22], errno=22)");
        assert!(other.names(EINVAL) && !other.names(ENOENT));
    }

    #[test]
    fn an_interpreter_that_looks_for_a_script_called_child_is_known() {
        for said in [
            "/usr/bin/python3: can't open file '/home/me/child': [Errno 2] No such file or directory",
            "/proc/self/exe: 0: cannot open child: No such file",
            "Can't open perl script \"child\": No such file or directory",
            "Error: Cannot find module '/home/me/child'",
        ] {
            assert_eq!(Stderr::new(said).meaning(), Some(Diagnosis::ExeIsTheInterpreter), "{said}");
        }
    }

    #[test]
    fn a_program_that_executes_run_is_known() {
        for said in [
            "FileNotFoundError: [Errno 2] No such file or directory: 'run'",
            "run: execve(\"run\"): ENOENT: No such file or directory",
            "exec: \"run\": executable file not found in $PATH",
            "./mine.sh: 2: exec: run: not found",
        ] {
            assert_eq!(Stderr::new(said).meaning(), Some(Diagnosis::ExecutedRun), "{said}");
        }
        // This `run` is the part of the program that fails.
        assert_eq!(Stderr::new("run: no such file or directory").meaning(), None);
    }

    #[test]
    fn an_error_of_a_language_is_known_unless_a_call_explains_it() {
        for said in [
            "SyntaxError: expected ':'",
            "AttributeError: module 'os' has no attribute 'unshare'",
            "panic: runtime error: index out of range [2] with length 2",
        ] {
            assert_eq!(Stderr::new(said).meaning(), Some(Diagnosis::LanguageError), "{said}");
        }
        let hidden = Stderr::new("subprocess.SubprocessError: Exception occurred in preexec_fn.");
        assert_eq!(hidden.meaning(), Some(Diagnosis::PreexecFailed));
        let both = "mount: Invalid argument\nDuring handling of it, another exception occurred:\nNameError: name 'x'";
        assert_eq!(Stderr::new(both).meaning(), Some(Diagnosis::MountInvalid));
    }

    #[test]
    fn a_shell_that_cannot_parse_the_words_is_known_but_not_a_script_with_an_error() {
        for said in [
            "sh: 3: Syntax error: Unterminated quoted string",
            "sh: syntax error: unterminated quoted string",
            "sh: -c: line 1: unexpected EOF while looking for matching `''",
        ] {
            assert_eq!(Stderr::new(said).meaning(), Some(Diagnosis::WordsLost), "{said}");
        }
        assert_eq!(Stderr::new("./mine.sh: 3: Syntax error: Unterminated quoted string").meaning(), None);
    }

    #[test]
    fn the_name_of_a_file_is_not_a_call() {
        for said in [
            "./my-chroot.py: FileNotFoundError: [Errno 2] No such file or directory: 'x.conf'",
            "File \"/home/me/chroot.py\", line 3\nFileNotFoundError: [Errno 2] No such file or directory",
            "/home/me/chroot/mine: open: ENOENT: No such file or directory",
            "chroot: failed to run command 'sh': No such file or directory",
        ] {
            assert_eq!(Stderr::new(said).meaning(), None, "{said}");
        }
        let mount = Stderr::new("mount: rootfs/proc: mount point does not exist.");
        assert_eq!(mount.meaning(), Some(Diagnosis::NothingToMountOn));
    }

    #[test]
    fn without_a_call_or_an_errno_it_means_nothing() {
        for said in ["", "chroot failed", "no such file or directory", "operation not permitted", "exit status 1"] {
            assert_eq!(Stderr::new(said).meaning(), None, "{said}");
        }
    }
}
