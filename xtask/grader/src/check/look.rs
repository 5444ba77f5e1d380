//! The look at a command while it waits inside: everything that `run`, the steps and `pivot` are judged by, from one run of
//! the program. Other exercises begin with the same look.
//!
//! The command is the shell of whatever root it finds itself in. It says that it is there, waits for a word, says it back,
//! reads to the end and ends with the status that it was told. What is judged is not what it says but what the kernel has in
//! /proc/PID of that process; of its words only whether they pass through.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::diagnosis::Diagnosis;
use super::exam::{Exam, Place, Remains, Run, Setting, Trouble};
use super::said::Said;
use super::verdict::{Failure, Verdict, fail, require};
use crate::mounts::{self, Mount};
use crate::{host, namespaces};
use lab::procfs::{FileId, Pid, Proc, Process, id_of, is_gone};

/// What the command is to do. Only builtins, for from exercise 3 on the programs are those of the rootfs; and without
/// /dev/null, which is not there. It stays a moment even if nobody lets it read. It is ready last, for
/// while a shell writes to another descriptor, it keeps the usual one at number 10.
const SCRIPT: &str = r#"echo "aside $0" >&2; echo "ready $0"; read word status || sleep 1; echo "said $word"; while read word; do :; done; exit ${status:-7}"#;

/// Another, which ends with the status that is its argument.
const SHORT_SCRIPT: &str = r#"echo "ready $0"; exit $1"#;

/// Those that a program may lose that passes on most: none, and one that takes the highest bit. Not above, for who takes 130
/// for a signal, and kills itself by it, is right about every signal.
const SPECIAL: [i32; 2] = [0, 128];

/// Arguments that only come through if each stays what it is.
const ODD: [&str; 2] = ["two  words", ""];

/// How long a program that does not wait may take to end.
const A_MOMENT: Duration = Duration::from_millis(100);

/// How long the command may take to end, when stdin has.
const A_WHILE: Duration = Duration::from_secs(2);

/// How long the command may take to be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The command's words: the same for every run but for `nonce`, which is nowhere on the host but there.
pub fn words(nonce: &str) -> Vec<&str> {
    vec!["sh", "-c", SCRIPT, nonce, ODD[0], ODD[1]]
}

/// A word that nobody else has.
pub fn nonce() -> String {
    format!("exam-{}", std::process::id())
}

/// The command, as the kernel has it.
#[derive(Debug)]
pub struct Sighting {
    /// The command's process.
    pub command: Process,
    /// The kinds of namespaces in which it is not with the host.
    pub new: Vec<&'static str>,
    /// Will its children be born in another PID namespace than its own?
    pub children_elsewhere: bool,
    /// The hostname that it sees.
    pub name: String,
    /// And the host's own, meanwhile.
    pub host_name: String,
    /// Its `/`, and where that is as the host names it.
    pub root: (FileId, PathBuf),
    /// Is its `/` an overlay, and ./rootfs one of the layers?
    pub is_overlay: bool,
    /// Its working directory, likewise.
    pub cwd: (FileId, PathBuf),
    /// Does whoever climbs from there by `..` stop at its `/`?
    pub cwd_is_inside: bool,
    /// What is outside of its `/`, and by which it can be reached from inside.
    pub doors: Vec<Door>,
    /// The root of its mount namespace, where a chroot can be left for.
    pub namespace_root: FileId,
    /// If that is its `/`: the mounts that are covered by it.
    pub mounts_underneath: Vec<Mount>,
    /// All mounts of its mount namespace, also those outside of its root.
    pub mounts: Vec<Mount>,
    /// Those in its root.
    pub own_mounts: Vec<Mount>,
    /// Its /proc.
    pub proc: ProcSeen,
    /// Was it the shell that was executed?
    pub is_the_shell: bool,
}

/// A link of a process's in the command's PID namespace, which leads out of the command's `/`. A root in there goes through
/// it: by the number itself if it is the command's own descriptor, or by its own /proc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Whose it is.
    pub process: Process,
    /// `fd/3`, `root`, `cwd`.
    pub link: String,
    /// Where it leads, in the kernel's words.
    pub to: PathBuf,
}

/// What is at /proc, as the command sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcSeen {
    /// No proc file system.
    None,
    /// One that shows another PID namespace.
    Others,
    /// One of its own.
    Own {
        /// Can't it be written to?
        read_only: bool,
    },
}

/// One run of the program, from its start to what it left behind.
#[derive(Debug)]
pub struct Look {
    /// The command while it waited; none if it was never there.
    pub sighting: Option<Sighting>,
    /// If it was not: what ran that had its nonce, or its first words, but not all of them.
    pub impostor: Option<Process>,
    /// Another process with all of the command's words, and not one of its own.
    pub double: Option<Process>,
    /// Was it there, and gone before it was let go?
    pub vanished: bool,
    /// Did it say that it is there only after stdin had ended?
    pub came_late: bool,
    /// How the program ended, if it did so while the command was still there.
    pub ended_early: bool,
    /// How the program ended.
    pub status: ExitStatus,
    /// In which user namespace it ended.
    pub remains: Option<Remains>,
    /// Did it write to its /proc/self/setgroups? None if nobody has watched.
    pub wrote_setgroups: Option<bool>,
    /// Did what the command wrote arrive while it waited?
    pub was_prompt: bool,
    /// Was it killed, because it still read when stdin had ended?
    pub read_on: bool,
    /// Where what it wrote to stderr has arrived.
    pub aside: Arrived,
    /// And what to stdout.
    pub ready: Arrived,
    /// All that was written to stdout, and to stderr but for the command's own line.
    pub stdout: String,
    /// See `stdout`.
    pub stderr: String,
    /// The word that was typed.
    pub typed: String,
    /// The exit status that was typed behind it, for the command to end with: who has not waited does not know it.
    pub told: i32,
    /// Another status that the command ended with, in another run, and how the program then did, if that was not the same.
    pub other_status: Option<(i32, ExitStatus)>,
    /// The host's name afterwards.
    pub host_name: String,
    /// The host's mounts that were not there before.
    pub mounts_left: Vec<Mount>,
    /// Those that are there no more.
    pub mounts_gone: Vec<Mount>,
    /// The processes that were not there before.
    pub processes_left: Vec<Process>,
    /// The peer groups of the host's mounts.
    pub host_peers: Vec<u32>,
    /// How many proc file systems the host has.
    pub host_procs: usize,
    /// Where the host has its shell, if the rootfs has none there.
    pub host_shell: Option<PathBuf>,
    /// The rootfs, and the host's `/`.
    pub rootfs: Option<FileId>,
    /// See `rootfs`.
    pub host_root: FileId,
    /// The mount that is the host's `/`.
    pub host_root_mount: Option<Mount>,
}

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Did it arrive on stdout?
    pub on_stdout: bool,
    /// And on stderr?
    pub on_stderr: bool,
}

/// Runs the program, and looks at the command while it waits; then again, for other statuses that the command may end with.
///
/// # Errors
/// When the program breaks a limit.
pub fn look(exam: &Exam) -> Result<Look, Trouble> {
    let (mut look, ()) = look_with(exam, &Setting::default(), |_| Ok(()))?;
    // On a host that is not as it was, another run says nothing.
    let is_as_it_was = look.mounts_left.is_empty() && look.mounts_gone.is_empty() && look.processes_left.is_empty();
    if is_as_it_was && look.sighting.is_some() && look.status.code() == Some(look.told) {
        for told in SPECIAL {
            look.other_status = look.other_status.or(status_lost(exam, told)?);
        }
    }
    Ok(look)
}

/// A status that the command ends with, and how the program does, if that is not the same. That the command does not run at
/// all this time is not for this to judge.
fn status_lost(exam: &Exam, told: i32) -> Result<Option<(i32, ExitStatus)>, Trouble> {
    let (nonce, argument) = (nonce(), told.to_string());
    let command = ["sh", "-c", SHORT_SCRIPT, &nonce, &argument];
    let mut run = exam.start(&Setting::default(), &command.map(OsStr::new))?;
    run.end_input();
    let status = run.wait()?;
    let is_lost = status.code() != Some(told) && run.out.text().contains(&ready(&nonce));
    Ok(is_lost.then_some((told, status)))
}

/// What the command says first. Nobody says it by chance, as just `ready`.
fn ready(nonce: &str) -> String {
    format!("ready {nonce}")
}

/// One run with the program started in another way, and with one look more at the command while it waits. That is asked for
/// only if the command is there; else it is its default.
///
/// # Errors
/// When the program breaks a limit.
pub fn look_with<T: Default>(
    exam: &Exam,
    setting: &Setting<'_>,
    also: impl FnOnce(&Sighting) -> Result<T, Trouble>,
) -> Result<(Look, T), Trouble> {
    let rootfs = id_of(&exam.folder().join("rootfs")).ok();
    // Now, for the program may put another file in their place.
    let rootfs_folder = exam.folder().join("rootfs");
    let host_shell = exam.on_path("sh").filter(|sh| in_root(&rootfs_folder, sh).is_none());
    let shells =
        [(Some(exam.host.id(1, "root")?), exam.on_path("sh")), (rootfs, in_root(&rootfs_folder, Path::new("/bin/sh")))];
    let shells: Vec<_> = shells.into_iter().filter_map(|(root, sh)| Some((root?, File::open(sh?).ok()?))).collect();
    let nonce = nonce();
    let words = words(&nonce);
    let command: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let mut run = exam.start(setting, &command)?;
    let mut more = T::default();

    let found = find(exam, &mut run, &words)?;
    let mut impostor = None;
    let mut sighting = None;
    let mut double = None;
    let mut vanished = false;
    let mut was_prompt = false;
    let mut ended_early = false;
    let (ready, aside) = (ready(&nonce), format!("aside {nonce}"));
    match found {
        Found::Command(process) => {
            // It may be a moment before it has said so.
            let prompt =
                run.watch(Duration::from_millis(500), |run| Ok(run.out.text().contains(&ready).then_some(())))?;
            was_prompt = prompt.is_some();
            let is_there = |exam: &Exam| exam.host.process(process.pid).is_some_and(|it| it.state != 'Z');
            double = find_double(exam, &process)?;
            match sight(exam, process.clone(), &shells) {
                Ok(seen) => more = also(sighting.insert(seen))?,
                // The program has killed it, say.
                Err(Trouble::Own(_)) if !is_there(exam) => vanished = true,
                Err(trouble) => return Err(trouble),
            }
            // Either it has ended, or it waits. On a busy machine it may do neither yet; and an interpreter that has nothing
            // more to do takes a moment to end.
            run.watch(PATIENCE, |run| Ok((run.status().is_some() || run.is_asleep()).then_some(())))?;
            ended_early = run.watch(A_MOMENT, |run| Ok(run.status()))?.is_some();
        }
        Found::Impostor(process) => impostor = Some(process),
        Found::Nothing => {}
    }
    let was_there = run.out.text().contains(&ready);
    let typed = format!("word-{}", std::process::id());
    let told = 3 + (std::process::id() % 120).cast_signed();
    run.type_line(&format!("{typed} {told}"));
    run.end_input();
    let read_on = match &sighting {
        Some(sighting) => reads_on(exam, &mut run, &sighting.command)?,
        None => false,
    };
    let status = run.wait()?;
    let processes_left = run.left_behind()?;
    let (stdout, stderr) = (run.out.text(), run.stderr());
    let arrived = |line: &str| Arrived { on_stdout: stdout.contains(line), on_stderr: stderr.contains(line) };
    let look = Look {
        sighting,
        impostor,
        double,
        vanished,
        came_late: !was_there && stdout.contains(&ready),
        ended_early,
        status,
        remains: run.remains().cloned(),
        wrote_setgroups: run.wrote_setgroups(),
        was_prompt,
        read_on,
        aside: arrived(&aside),
        ready: arrived(&ready),
        stderr: stderr.replace(&format!("{aside}\n"), ""),
        stdout,
        typed,
        told,
        other_status: None,
        host_name: exam.name()?,
        mounts_left: exam.new_mounts()?,
        mounts_gone: exam.gone_mounts()?,
        processes_left,
        host_peers: exam.peer_groups(),
        host_procs: exam.count_procs(),
        host_shell,
        rootfs,
        host_root: exam.host.id(1, "root")?,
        host_root_mount: exam.root_mount(),
    };
    Ok((look, more))
}

/// Does the command still read, though stdin has ended? Then it is killed, or the program would wait for it until its time is up.
fn reads_on(exam: &Exam, run: &mut Run<'_>, command: &Process) -> Result<bool, Trouble> {
    let lives = || exam.host.process(command.pid).is_some_and(|it| it.started == command.started && it.state != 'Z');
    run.watch(A_WHILE, |_| Ok((!lives()).then_some(())))?;
    if !lives() {
        return Ok(false);
    }
    match exam.signal(command.pid, Signal::SIGKILL) {
        // It has ended just now.
        Err(_) if !lives() => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// Who was found on the host.
enum Found {
    Command(Process),
    /// It has the nonce among its words, or the first of them, and is neither the command nor the program that was started with
    /// it.
    Impostor(Process),
    Nothing,
}

fn find(exam: &Exam, run: &mut Run<'_>, words: &[&str]) -> Result<Found, Trouble> {
    let is_command = |it: &Process| it.has_line(words);
    // The program, and what it starts of itself, have the command's words at their end.
    let hands_on = |it: &Process| it.args.len() > words.len() && it.ends_with(words);
    let has_nonce = |it: &Process| it.args.iter().any(|word| contains(word, words[3].as_bytes()));
    // `sh`, or `sh -c`, and no more.
    let is_cut_short = |it: &Process| (1..words.len()).contains(&it.args.len()) && it.has_line(&words[..it.args.len()]);
    let mut impostor = None;
    let command = run.watch(PATIENCE, |_| {
        let mut guests = exam.guests()?;
        guests.retain(|it| it.state != 'Z');
        let is_impostor = |it: &&Process| !hands_on(it) && !is_command(it) && (has_nonce(it) || is_cut_short(it));
        impostor = guests.iter().find(is_impostor).cloned().or(impostor.take());
        guests.retain(is_command);
        // What a shell has forked has its words, too, until it becomes another program.
        let is_first = |it: &&Process| guests.iter().all(|other| other.pid != it.parent);
        Ok(guests.iter().filter(is_first).max_by_key(|it| (it.numbers.len(), it.started)).cloned())
    })?;
    Ok(match (command, impostor) {
        (Some(command), _) => Found::Command(command),
        (None, Some(impostor)) => Found::Impostor(impostor),
        (None, None) => Found::Nothing,
    })
}

/// Somebody else with the command's words? A shell that forks has them as well, so neither an ancestor nor a descendant counts.
fn find_double(exam: &Exam, command: &Process) -> Result<Option<Process>, Trouble> {
    let mut guests = exam.guests()?;
    guests.retain(|it| it.state != 'Z' && it.args == command.args);
    let descends = |from: &Process, to: &Process| {
        let mut parent = from.parent;
        while let Some(it) = guests.iter().find(|it| it.pid == parent) {
            if it.pid == to.pid {
                return true;
            }
            parent = it.parent;
        }
        false
    };
    let is_double = |it: &&Process| it.pid != command.pid && !descends(it, command) && !descends(command, it);
    Ok(guests.iter().find(is_double).cloned())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Reads what the kernel has of a waiting process. `shells` are those of the roots that it may be in.
///
/// # Errors
/// When it ends meanwhile, or the kernel refuses to tell.
pub fn sight(exam: &Exam, command: Process, shells: &[(FileId, File)]) -> Result<Sighting, Trouble> {
    let pid = command.pid;
    let proc = &exam.host;
    let id = |name: &str| proc.id(pid, name).with_context(|| format!("stat(\"/proc/{pid}/{name}\")"));
    let mut new = Vec::new();
    for kind in namespaces::KINDS {
        let file = format!("ns/{kind}");
        // Older kernels lack the last ones.
        if let (Ok(inside), Ok(outside)) = (proc.id(pid, &file), proc.id(1, &file))
            && inside != outside
        {
            new.push(kind);
        }
    }
    let place = |name: &str| proc.place(pid, name).with_context(|| format!("open(\"/proc/{pid}/{name}\", O_PATH)"));
    let root = exam.place(&place("root")?)?;
    let namespace_root = exam.root_around(pid)?;
    Ok(Sighting {
        children_elsewhere: match proc.id(pid, "ns/pid_for_children") {
            // It is to be another one, and no child was born there yet: pid_namespaces(7).
            Err(Errno::ENOENT) => true,
            result => result.with_context(|| format!("stat(\"/proc/{pid}/ns/pid_for_children\")"))? != id("ns/pid")?,
        },
        name: exam.name_of(pid)?,
        host_name: exam.name()?,
        root: (id("root")?, proc.link(pid, "root")?.into()),
        is_overlay: is_overlay_of_rootfs(exam, pid)?,
        // That may be too long to be said (ENAMETOOLONG).
        cwd: (id("cwd")?, proc.link(pid, "cwd").unwrap_or_default().into()),
        cwd_is_inside: exam.is_in_root(place("cwd")?, root)?,
        doors: doors(exam, &command, root, new.contains(&"pid"))?,
        namespace_root,
        mounts: exam.mounts_around(pid)?,
        proc: proc_of(exam, pid)?,
        own_mounts: mounts::parse(&exam.host.read(pid, "mountinfo")?),
        is_the_shell: is_shell(exam, pid, shells)?,
        mounts_underneath: if id("root")? == namespace_root { exam.mounts_underneath(pid)? } else { Vec::new() },
        new,
        command,
    })
}

/// Is the root of the process an overlay that shows what is in ./rootfs? An overlay's files have numbers of their own, so it
/// is told by a file that is put there for a moment.
fn is_overlay_of_rootfs(exam: &Exam, pid: Pid) -> Result<bool, Trouble> {
    let root = exam.host.file(pid, "root")?;
    if fstatfs(root.as_fd())?.filesystem_type() != OVERLAYFS_SUPER_MAGIC {
        return Ok(false);
    }
    // Who may not write there has no overlay to write to, either.
    let Ok(marker) = exam.mark_rootfs() else { return Ok(false) };
    Ok(exam.host.open_inside(pid, &marker.name().to_string(), OFlag::O_PATH).is_ok())
}

/// Which ways lead out of the command's root, out of what is open in its PID namespace? If that is the host's, only what the
/// command itself has counts.
fn doors(exam: &Exam, command: &Process, root: Place, has_pid_namespace: bool) -> Result<Vec<Door>, Trouble> {
    let namespace = |pid: Pid| exam.host.id(pid, "ns/pid");
    let (its_own, hosts_mounts) = (namespace(command.pid)?, exam.host.id(1, "ns/mnt")?);
    let mut processes = vec![command.clone()];
    if has_pid_namespace {
        let mut others = exam.guests()?;
        others.retain(|it| it.pid != command.pid && it.state != 'Z' && namespace(it.pid) == Ok(its_own));
        processes.extend(others);
    }
    let mut doors = Vec::new();
    for process in processes {
        let pid = process.pid;
        let is_command = pid == command.pid;
        // Where the command itself is, is looked at already.
        let mut links: Vec<_> = ["root", "cwd"].into_iter().filter(|_| !is_command).map(str::to_owned).collect();
        match exam.host.descriptors(pid) {
            Ok(numbers) => links.extend(numbers.into_iter().map(|number| format!("fd/{number}"))),
            Err(errno) if is_gone(errno) && !is_command => continue,
            Err(errno) => return Err(errno.into()),
        }
        for link in links {
            let place = match exam.host.place(pid, &link) {
                Ok(place) => place,
                // Closed since.
                Err(errno) if is_gone(errno) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let file = fstat(&place)?;
            let is_folder = SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
            // By setns(2).
            let leads_out = if is_folder { !exam.is_in_root(place, root)? } else { FileId::from(file) == hosts_mounts };
            if leads_out {
                let to = exam.host.link(pid, &link).unwrap_or_default().into();
                doors.push(Door { process: process.clone(), link, to });
            }
        }
    }
    Ok(doors)
}

/// Which /proc does the process see?
fn proc_of(exam: &Exam, pid: Pid) -> Result<ProcSeen, Trouble> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let Ok(folder) = exam.host.open_inside(pid, "proc", flags) else { return Ok(ProcSeen::None) };
    if fstatfs(folder.as_fd())?.filesystem_type() != PROC_SUPER_MAGIC {
        return Ok(ProcSeen::None);
    }
    // Of the mount that is seen, and not of one that a table has with the same place.
    let read_only = fstatvfs(&folder)?.flags().contains(FsFlags::ST_RDONLY);
    // Which namespace a proc file system shows is seen by whom it calls 1.
    if Proc::at(folder).id(1, "ns/pid") != exam.host.id(pid, "ns/pid") {
        return Ok(ProcSeen::Others);
    }
    Ok(ProcSeen::Own { read_only })
}

/// Is the file that the process executes the shell of its root, or the same byte for byte? (An overlay shows another inode.)
fn is_shell(exam: &Exam, pid: Pid, shells: &[(FileId, File)]) -> Result<bool, Trouble> {
    let (root, exe) = (exam.host.id(pid, "root")?, exam.host.id(pid, "exe")?);
    // Another root than we know, such as an overlay's, may have either.
    let is_known = shells.iter().any(|(of, _)| *of == root);
    let files: Vec<&File> = shells.iter().filter(|(of, _)| !is_known || *of == root).map(|(_, file)| file).collect();
    for file in &files {
        if FileId::from(fstat(file)?) == exe {
            return Ok(true);
        }
    }
    let bytes = exam.host.read(pid, "exe")?;
    let is_same = |mut file: &File| {
        let mut other = Vec::new();
        file.rewind().is_ok() && file.read_to_end(&mut other).is_ok() && other == bytes
    };
    Ok(files.into_iter().any(is_same))
}

/// Where `path` leads for someone whose root is `root`: fs::canonicalize would follow Alpine's `/bin/sh -> /bin/busybox` to
/// the host's busybox.
pub fn in_root(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let mut real = root.to_owned();
        let mut parts = path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir));
        let Some((done, link)) = parts.by_ref().find_map(|part| {
            let parent = real.clone();
            match part {
                Component::ParentDir if real != root => _ = real.pop(),
                Component::ParentDir => {}
                part => real.push(part),
            }
            Some((parent, fs::read_link(&real).ok()?))
        }) else {
            return real.exists().then_some(real);
        };
        let rest: PathBuf = parts.collect();
        let base = done.strip_prefix(root).unwrap_or(Path::new(""));
        path = Path::new("/").join(base).join(link).join(rest);
    }
    None
}

impl Look {
    /// The words for a run in which the command was never seen.
    fn never_ran(&self) -> Failure {
        let said = match self.stderr.trim() {
            "" => "nothing on stderr".to_owned(),
            text => format!("on stderr: {}", shorten(text)),
        };
        let seen = format!("`run` ended with {}, and said {said}", how(self.status));
        let words = Said::new(&self.stderr);
        let unmapped = self.remains.as_ref().filter(|it| {
            let is_mapped = maps_root(&it.uid_map) && maps_root(&it.gid_map);
            !it.in_hosts_user_namespace && !is_mapped
        });
        let diagnosis = if let Some(remains) = unmapped {
            if remains.allows_setgroups && remains.gid_map.trim().is_empty() && words.has("gid_map") {
                let seen = format!("{seen}; in its user namespace gid_map is empty, and setgroups still \"allow\"");
                return fail(Diagnosis::GroupsNotDenied, seen, "`deny` in setgroups, before gid_map is written");
            }
            return not_mapped(&seen, &remains.uid_map, &remains.gid_map);
        } else if let Some(impostor) = &self.impostor {
            let seen = format!("a process with the words {:?}", impostor.line());
            return fail(Diagnosis::WordsLost, seen, "the command's own words, each by itself");
        } else if self.vanished {
            let seen = format!("the command was there, and was gone before it had read a word; {seen}");
            return fail(Diagnosis::DidNotWait, seen, "the command runs until it ends by itself");
        } else if self.came_late {
            let seen = "the command was not started before stdin had ended";
            return fail(Diagnosis::InputLost, seen, "the command reads what is typed, while it is typed");
        } else if let Some(shell) = self.host_shell.as_ref().filter(|it| words.misses(it)) {
            let seen = format!("{seen}; {} is on the host, and not in ./rootfs", shell.display());
            return fail(Diagnosis::FoundOnTheHost, seen, "the command looked for in ./rootfs, where it is /bin/sh");
        } else if self.status.code() == Some(2) && self.stderr.trim().is_empty() {
            Diagnosis::NoContract
        } else {
            words.meaning().unwrap_or(Diagnosis::NeverRan)
        };
        fail(diagnosis, seen, format!("the command that was given to `run`, a shell, `sh -c … {}`", nonce()))
    }

    /// Is the host called otherwise, or was it while the command ran? In words.
    fn renamed(&self) -> Option<String> {
        let meanwhile = self.sighting.as_ref().map(|it| it.host_name.as_str());
        if self.host_name != host::HOSTNAME {
            return Some(format!("the throwaway host is now called {:?}", self.host_name));
        }
        let other = meanwhile.filter(|name| *name != host::HOSTNAME)?;
        Some(format!("while the command ran, the throwaway host was called {other:?}"))
    }

    /// The command, or the verdict that it never ran.
    ///
    /// # Errors
    /// That verdict.
    pub fn sighting(&self) -> Result<&Sighting, Verdict> {
        self.sighting.as_ref().ok_or_else(|| self.never_ran().into())
    }
}

/// Does a map of a user namespace name its root? user_namespaces(7): each line is the first number inside, the first outside,
/// and how many.
pub fn maps_root(map: &str) -> bool {
    map.lines().any(|line| line.split_whitespace().next() == Some("0"))
}

/// The words for a user namespace without its maps.
pub fn not_mapped(seen: &str, uid_map: &str, gid_map: &str) -> Failure {
    let seen = format!("{seen}; in its user namespace uid_map is {:?}, gid_map {:?}", uid_map.trim(), gid_map.trim());
    fail(Diagnosis::NotMapped, seen, "both begin with 0: who was a user outside is root inside")
}

/// An exit status in words.
pub fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// What a program said, for a report: how it begins and how it ends, for of a traceback that which counts is the first line or
/// the last, as the language has it.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 300;
    const BEGINNING: usize = 120;
    let text = text.trim();
    let place = |from_end| text.char_indices().rev().nth(from_end).map(|(at, _)| at);
    match (place(LONGEST), text.char_indices().nth(BEGINNING), place(LONGEST - BEGINNING)) {
        (Some(_), Some((begin, _)), Some(end)) => format!("{:?} … {:?}", &text[..begin], &text[end..]),
        _ => format!("{text:?}"),
    }
}

/// A judge's answer: an early one leaves by `?`.
pub type Judged = Result<Verdict, Verdict>;

/// Exercise `run`: is the command there, with its words, and is it what was asked for?
pub fn the_command_runs(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    if let Some(double) = &look.double {
        let seen = format!("both {} and {} have the command's words", sighting.command.pid, double.pid);
        return Err(fail(Diagnosis::WrongCommand, seen, "one process").into());
    }
    Ok(require(sighting.is_the_shell, || {
        let seen = format!("process {} has the command's words, but executes another file", sighting.command.pid);
        fail(Diagnosis::WrongCommand, seen, "the `sh` of the root that it is in")
    }))
}

/// Exercise `run`: does what is typed reach it, and what it writes come back, while it runs?
pub fn input_and_output_pass_through(look: &Look) -> Judged {
    look.sighting()?;
    let (answer, ready) = (format!("said {}", look.typed), ready(&nonce()));
    let out = shorten(&look.stdout);
    if !look.ready.on_stdout && !look.ready.on_stderr {
        return Err(fail(Diagnosis::OutputSwallowed, format!("on stdout: {out}"), ready).into());
    }
    // On the wrong one of the two, which is the next check's to say, it does not arrive here in time.
    if look.ready.on_stdout && !look.was_prompt {
        let seen = "the command had written, and waited for an answer; nothing of it had arrived";
        return Err(fail(Diagnosis::OutputSwallowed, seen, format!("the line `{ready}` at once")).into());
    }
    if !look.stdout.contains(&answer) && !look.stderr.contains(&answer) {
        let seen = format!("after typing {:?}, on stdout: {out}", look.typed);
        return Err(fail(Diagnosis::InputLost, seen, answer).into());
    }
    Ok(require(!look.read_on, || {
        let seen = format!("stdin had ended, and {} s later the command still waited for more", A_WHILE.as_secs());
        fail(Diagnosis::InputLost, seen, "the end of stdin reaches the command as well")
    }))
}

/// Exercise `run`: does each of its two streams arrive by itself?
pub fn stdout_and_stderr_are_two(look: &Look) -> Judged {
    look.sighting()?;
    let expected = "what the command writes to stdout on stdout, what it writes to stderr on stderr";
    let joined = |what, to, on| {
        let seen = format!("a line that the command wrote to {to}, `{what} {}`, arrived on {on}", nonce());
        fail(Diagnosis::StreamsJoined, seen, expected)
    };
    let swallowed = || {
        let seen = format!("the command wrote `aside {}` to stderr, and nothing of it arrived", nonce());
        fail(Diagnosis::OutputSwallowed, seen, expected)
    };
    Ok(match (look.ready, look.aside) {
        (Arrived { on_stderr: true, .. }, _) => joined("ready", "stdout", "stderr").into(),
        (_, Arrived { on_stdout: true, .. }) => joined("aside", "stderr", "stdout").into(),
        (_, Arrived { on_stderr: false, .. }) => swallowed().into(),
        _ => Verdict::Pass,
    })
}

/// Exercise `run`: does `run` wait for the command?
pub fn run_waits(look: &Look) -> Judged {
    look.sighting()?;
    Ok(require(!look.ended_early, || {
        let seen = format!("`run` ended with {} while the command waited", how(look.status));
        fail(Diagnosis::DidNotWait, seen, "`run` ends when the command has")
    }))
}

/// Exercise `run`: is the command's own exit status passed on?
pub fn the_status_is_passed_on(look: &Look) -> Judged {
    look.sighting()?;
    let told = look.told;
    if let Some((told, status)) = look.other_status {
        let seen = format!("the command ended with status {told}, and `run` with {}", how(status));
        return Err(fail(Diagnosis::StatusLost, seen, format!("status {told}")).into());
    }
    Ok(require(look.status.code() == Some(told), || {
        let said = if look.stderr.trim().is_empty() {
            String::new()
        } else {
            format!("; on stderr: {}", shorten(&look.stderr))
        };
        let seen = format!("the command ended with status {told}, and `run` with {}{said}", how(look.status));
        let is_gone = Said::new(&look.stderr).names(Errno::ECHILD);
        let diagnosis = if is_gone { Diagnosis::CollectedAlready } else { Diagnosis::StatusLost };
        fail(diagnosis, seen, format!("status {told}"))
    }))
}

/// Exercise `uts`: is the host called what it was called?
pub fn the_host_keeps_its_name(look: &Look) -> Judged {
    Ok(look.renamed().map_or(Verdict::Pass, |seen| {
        fail(Diagnosis::RenamedHost, seen, format!("{:?}, at all times", host::HOSTNAME)).into()
    }))
}

/// Exercise `uts`: is the command in a UTS namespace of its own?
pub fn it_has_a_uts_namespace(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let seen = || format!("/proc/{}/ns/uts is the host's", sighting.command.pid);
    if sighting.new.contains(&"uts") {
        return Ok(Verdict::Pass);
    }
    let failure = if let Some(renamed) = look.renamed() {
        let seen = format!("{}, and {renamed}", seen());
        fail(Diagnosis::RenamedHost, seen, "a UTS namespace of its own")
    } else if sighting.new.is_empty() {
        fail(Diagnosis::IsolatedNothing, format!("{}, and so are all the others", seen()), "a UTS namespace of its own")
    } else {
        fail(Diagnosis::NoUtsNamespace, seen(), "a UTS namespace of its own")
    };
    Err(failure.into())
}

/// Exercise `uts`: what is its hostname?
pub fn it_is_called_mini_docker(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    Ok(require(sighting.name == "mini-docker", || {
        fail(Diagnosis::NotNamed, format!("the hostname in it is {:?}", sighting.name), "\"mini-docker\"")
    }))
}

/// Exercise `pid`: is the command in a PID namespace of its own?
pub fn it_has_a_pid_namespace(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let command = &sighting.command;
    if sighting.new.contains(&"pid") {
        return Ok(Verdict::Pass);
    }
    let failure = if sighting.children_elsewhere {
        let seen = format!("/proc/{0}/ns/pid is the host's, and /proc/{0}/ns/pid_for_children is another", command.pid);
        fail(Diagnosis::NoFork, seen, "the command is a child that was born after unshare")
    } else {
        let seen = format!("/proc/{}/ns/pid is the host's: its only number is {}", command.pid, command.pid);
        fail(Diagnosis::NoPidNamespace, seen, "a PID namespace of its own")
    };
    Err(failure.into())
}

/// Exercise `pid`: is the command in a mount namespace of its own?
pub fn it_has_a_mount_namespace(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    Ok(require(sighting.new.contains(&"mnt"), || {
        let seen = format!("/proc/{}/ns/mnt is the host's", sighting.command.pid);
        fail(Diagnosis::NoMountNamespace, seen, "a mount namespace of its own")
    }))
}

/// Exercise `pid`: is anything still running?
pub fn nothing_is_left_running(look: &Look) -> Judged {
    Ok(require(look.processes_left.is_empty(), || {
        let lines: Vec<_> = look.processes_left.iter().map(|it| format!("{} {}", it.pid, it.line())).collect();
        fail(Diagnosis::ProcessesLeft, format!("still there: {}", shorten(&lines.join("; "))), "no process")
    }))
}

/// Exercise `chroot`: is its `/` the rootfs?
pub fn its_root_is_the_rootfs(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let rootfs = look.rootfs.ok_or_else(no_rootfs)?;
    if sighting.root.0 == rootfs || sighting.is_overlay {
        return Ok(Verdict::Pass);
    }
    let (diagnosis, whose) = if sighting.root.0 == look.host_root {
        (Diagnosis::NoChroot, "the host's")
    } else {
        (Diagnosis::AnotherRoot, "neither the host's nor ./rootfs")
    };
    Err(fail(diagnosis, format!("/proc/{}/root is {whose}", sighting.command.pid), "./rootfs").into())
}

/// Exercise `chroot`: is its working directory inside?
pub fn its_working_directory_is_inside(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    if sighting.cwd_is_inside {
        return Ok(Verdict::Pass);
    }
    let (pid, (cwd, path)) = (sighting.command.pid, &sighting.cwd);
    let is_the_hosts = *cwd == look.host_root;
    let diagnosis = if is_the_hosts { Diagnosis::ChdirBeforeChroot } else { Diagnosis::ChrootWithoutChdir };
    let seen = format!("/proc/{pid}/cwd leads to {}, and from there `..` leads past its `/`", path.display());
    Err(fail(diagnosis, seen, "the new `/`, or a folder in it").into())
}

/// Exercise `chroot`: would a mount in there stay in there?
pub fn its_mounts_stay_inside(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    if !sighting.new.contains(&"mnt") {
        return Err(it_has_a_mount_namespace(look).unwrap_or_else(|verdict| verdict));
    }
    let same_place = |one: &Mount, other: &Mount| one.point == other.point && one.kind == other.kind;
    let was_shared = |now: &&Mount| look.mounts_gone.iter().any(|it| same_place(it, now) && it.peers.is_some());
    if let Some(mount) = look.mounts_left.iter().filter(|now| now.peers.is_none()).find(was_shared) {
        let seen = format!("on the host, {} was shared, and is private now", mount.point.display());
        return Err(fail(Diagnosis::HostMadePrivate, seen, "the host's mounts as they were").into());
    }
    let shared = sighting.mounts.iter().find(|mount| mount.peers.is_some_and(|it| look.host_peers.contains(&it)));
    match shared {
        None => Ok(Verdict::Pass),
        Some(mount) => {
            let seen = format!(
                "in its mount namespace, {} is in peer group {}, and so is the host's",
                mount.point.display(),
                mount.peers.unwrap_or_default()
            );
            Err(fail(Diagnosis::MountsShared, seen, "no mount shared with the host").into())
        }
    }
}

/// Exercise `proc`: is its /proc its own?
pub fn its_proc_is_its_own(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let pid = sighting.command.pid;
    let expected = "a proc file system in which 1 is the first process of the command's PID namespace";
    match sighting.proc {
        ProcSeen::Own { .. } => Ok(Verdict::Pass),
        ProcSeen::Others => {
            let seen = format!("/proc/{pid}/root/proc shows another PID namespace than the command's");
            Err(fail(Diagnosis::ProcOfTheHost, seen, expected).into())
        }
        ProcSeen::None => {
            let procs = || sighting.mounts.iter().filter(|mount| mount.kind == "proc");
            let seen = format!("/proc/{pid}/root/proc is no proc file system");
            // Both as they are seen from around its root.
            let inside = procs().find_map(|mount| mount.point.strip_prefix(&sighting.root.1).ok());
            Err(if sighting.root.0 == look.host_root || procs().count() <= look.host_procs {
                fail(Diagnosis::ProcNotMounted, seen, expected).into()
            } else if let Some(place) = inside {
                let seen = format!("{seen}; but there is one at /{}", place.display());
                fail(Diagnosis::ProcNotMounted, seen, expected).into()
            } else {
                let seen = format!("{seen}; but there is a new one elsewhere in its mount namespace");
                fail(Diagnosis::ProcBeforeChroot, seen, expected).into()
            })
        }
    }
}

/// Exercise `proc`: is its /proc read-only?
pub fn its_proc_is_read_only(look: &Look) -> Judged {
    its_proc_is_its_own(look)?;
    let sighting = look.sighting()?;
    Ok(require(sighting.proc == ProcSeen::Own { read_only: true }, || {
        let seen = format!("the proc file system at /proc/{}/root/proc can be written to", sighting.command.pid);
        fail(Diagnosis::ProcWritable, seen, "ro")
    }))
}

/// Exercise `proc`: is anything still mounted?
pub fn no_mount_is_left(look: &Look) -> Judged {
    let place = |mount: &Mount| format!("on the host, a {} file system at {}", mount.kind, mount.point.display());
    let (left, gone) = (look.mounts_left.first(), look.mounts_gone.first());
    match left.map(place).or(gone.map(|mount| format!("no longer {}", place(mount)))) {
        None => Ok(Verdict::Pass),
        Some(seen) => Err(fail(Diagnosis::MountsLeft, seen, "the mounts that were there before").into()),
    }
}

/// Exercise `pivot`: is there anything to climb to?
pub fn nothing_is_above_its_root(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let pid = sighting.command.pid;
    if sighting.namespace_root == sighting.root.0 {
        return Ok(Verdict::Pass);
    }
    // With pivot_root(".", ".") the old root is on top of the new one.
    the_old_root_is_gone_from(look, &sighting.own_mounts)?;
    let seen = format!("/proc/{pid}/root is not the root of its mount namespace, which is above it");
    Err(fail(Diagnosis::StillEscapes, seen, "they are the same").into())
}

/// Exercise `pivot`: is the host's root still mounted somewhere?
pub fn the_old_root_is_gone(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    the_old_root_is_gone_from(look, &sighting.own_mounts)?;
    the_old_root_is_gone_from(look, &sighting.mounts)?;
    Ok(require(old_root_among(look, &sighting.mounts_underneath).is_none(), || {
        let seen = "in its mount namespace, the host's root is mounted under its `/`";
        fail(Diagnosis::OldRootCovered, seen, "nowhere")
    }))
}

/// Exercise `pivot`: can anything outside be reached by what is open in there?
pub fn nothing_outside_is_open(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    let Some(Door { process, link, to }) = sighting.doors.first() else { return Ok(Verdict::Pass) };
    let (pid, to) = (process.pid, to.display());
    let diagnosis = match link.as_str() {
        "root" => Diagnosis::StillEscapes,
        "cwd" => Diagnosis::ChrootWithoutChdir,
        _ => Diagnosis::DescriptorsLeaked,
    };
    let whose = match process.inner_pid() {
        _ if pid == sighting.command.pid => "the command's".to_owned(),
        inner => format!("in there /proc/{inner}/{link}, which the command may open"),
    };
    let seen = format!("/proc/{pid}/{link}, {whose}, leads out of its `/`, to {to}");
    Err(fail(diagnosis, seen, "nothing that is open in there leads out").into())
}

/// The host's root, if it is one of these mounts.
fn old_root_among<'a>(look: &Look, mounts: &'a [Mount]) -> Option<&'a Mount> {
    let old = look.host_root_mount.as_ref()?;
    mounts.iter().find(|mount| (&old.device, &old.root) == (&mount.device, &mount.root))
}

fn the_old_root_is_gone_from(look: &Look, mounts: &[Mount]) -> Judged {
    match old_root_among(look, mounts) {
        None => Ok(Verdict::Pass),
        Some(mount) => {
            let seen = format!("in its mount namespace, the host's root is mounted at {}", mount.point.display());
            Err(fail(Diagnosis::OldRootReachable, seen, "nowhere").into())
        }
    }
}

fn no_rootfs() -> Verdict {
    Verdict::CannotRun { why: "there is no ./rootfs".into(), cure: "`cargo xtask rootfs` makes one".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_a_root() {
        let root = tempfile_dir("in-root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/busybox"), "x").unwrap();
        symlink("/bin/busybox", root.join("bin/sh")).unwrap();
        symlink("../usr/../../../usr/bin/busybox", root.join("bin/busybox")).unwrap();
        symlink("usr", root.join("lib")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let real = Some(root.join("usr/bin/busybox"));
        assert_eq!(in_root(&root, Path::new("/bin/sh")), real);
        assert_eq!(in_root(&root, Path::new("/lib/bin/busybox")), real);
        assert_eq!(in_root(&root, Path::new("/bin/no-such")), None);
        assert_eq!(in_root(&root, Path::new("/loop")), None);
        fs::remove_dir_all(root).unwrap();
    }

    fn tempfile_dir(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mini-docker-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }
}
