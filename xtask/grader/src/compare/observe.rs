//! Fills one column of the table: starts the command on the host, and observes it.
//!
//! The command, a shell, reports what only it can know: its hostname, its PID, what it sees and which processes it can signal.
//! Then it waits and is observed from outside, in /proc/PID, because what it reports about itself may not be true.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use lab::mountinfo::{self, Mount};
use lab::procfs::{FileId, Pid, Proc, Process, id_of};
use lab::{namespaces, output, privilege, workspace};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use serde::{Deserialize, Serialize};

/// The hidden first argument with which this program observes, on the host.
pub(crate) const OBSERVE: &str = "--observe";

/// The hidden second argument with which it enters a user namespace and becomes a command; as the last one, it asks for that.
pub(crate) const ENTER: &str = "--enter";

/// The name of the column that isn't a step.
pub(crate) const HOST: &str = "host";

/// The questions to the command: its hostname, its PID, how many processes it sees, and which of the given PIDs `kill`
/// accepts. It uses no program except hostname, and no /dev/null, because from step 3 on /dev is empty.
const QUESTIONS: &str = r#"
    exec 2>&-
    hostname
    echo $$
    n=0; for p in /proc/[0-9]*; do [ -d "$p" ] && n=$((n + 1)); done; echo $n
    reached=; for p do kill -0 $p && reached="$reached $p"; done; echo $reached
    read until_observed
    exit 7"#;

/// What was observed about the host or about one step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Column {
    /// `host`, or the name of the step.
    pub name: String,
    /// What hostname(1) prints.
    pub hostname: String,
    /// The command's PID in its own PID namespace. On the throwaway host it is 11: after init, eight daemons and the observer.
    pub pid: Pid,
    /// The entries of /proc that are numbers, as the command sees it.
    pub processes_visible: usize,
    /// The host's processes that the command can signal: kill(2) with signal 0 accepts the PID, and it is not the PID of one
    /// of the container's own processes.
    pub processes_in_reach: usize,
    /// The processes that were there before the command, including the observer.
    pub processes_on_host: usize,
    /// `host` if `/` is the same directory as the host's, `rootfs` if it is ./rootfs; otherwise `other`.
    pub root: String,
    /// `host` if /proc is the host's, `own` if it is another proc file system, or `empty`; otherwise `other`.
    pub proc: String,
    /// True if /proc is mounted read-only.
    pub proc_read_only: bool,
    /// `host` if the command sees the host's mounts; otherwise `own`.
    pub mounts: String,
    /// How many mounts the command sees.
    pub mounts_visible: usize,
    /// True if something mounted inside would show on the host.
    pub mounts_reach_host: bool,
    /// The exit status of a command that ends with `exit 7`.
    pub exit_status: i32,
    /// Of each kind `shared` with the host, or `new`; `none` if the kernel has no such kind.
    pub namespaces: BTreeMap<String, String>,
}

impl Column {
    pub(crate) fn namespace(&self, kind: &str) -> &str {
        self.namespaces.get(kind).map_or("", String::as_str)
    }

    pub(crate) fn shares(&self, kind: &str) -> bool {
        self.namespace(kind) == "shared"
    }
}

/// Runs on the host: observes a column, and prints it.
pub(crate) fn observe(args: &[OsString]) -> Result<ExitCode> {
    match args {
        [enter, program, args @ ..] if enter == ENTER => {
            privilege::enter_user_namespace()?;
            return Err(Command::new(program).args(args).exec()).context("execve");
        }
        [name, enter @ ..] => output::write(&serde_json::to_string(&column(name, !enter.is_empty())?)?)?,
        [] => bail!("`{OBSERVE}` is used by `compare`"),
    }
    Ok(ExitCode::SUCCESS)
}

fn column(name: &OsStr, enter: bool) -> Result<Column> {
    let proc = Proc::open(Path::new("/proc"))?;
    let (mut hosts, observer) = (proc.pids()?, std::process::id());
    hosts.sort_unstable();
    let hosts_mounts = mounts_of(&proc, observer)?;
    let mut words: Vec<OsString> = Vec::new();
    if name != HOST {
        if enter {
            words.extend([env::current_exe()?.into(), OBSERVE.into(), ENTER.into()]);
        }
        words.extend([workspace::programs()?.join(name).into(), "run".into()]);
    }
    words.extend(["sh", "-c", QUESTIONS, "sh"].map(OsString::from));
    words.extend(hosts.iter().map(|pid| pid.to_string().into()));
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("execve({:?})", words[0]))?;
    let stdout = BufReader::new(child.stdout.take().context("is piped")?);
    let answers: Vec<String> = stdout.lines().take(4).collect::<io::Result<_>>()?;
    let [hostname, own, visible, reached] = answers.as_slice() else {
        // The step has explained why.
        bail!("no answer, but {}", child.wait()?)
    };

    let family = family(&proc, child.id())?;
    let pid: Pid = own.parse().context("the command's own PID")?;
    // The last of those with that PID: in a new PID namespace, only it can be the command.
    let command = family.iter().rfind(|it| it.inner_pid() == pid).context("the command isn't in /proc")?.pid;
    let reached: Vec<Pid> = reached.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    // In a new PID namespace there are a 1 and a 2 as well, but they are not the host's.
    let in_reach = reached.iter().filter(|pid| family.iter().all(|it| it.inner_pid() != **pid));

    let root = proc.id(command, "root")?;
    let inner = PathBuf::from(format!("/proc/{command}/root/proc"));
    let proc_is = match () {
        () if id_of(&inner)? == id_of(Path::new("/proc"))? => HOST,
        () if statfs(&inner).context("statfs")?.filesystem_type() == PROC_SUPER_MAGIC => "own",
        () if fs::read_dir(&inner)?.next().is_none() => "empty",
        () => "other",
    };
    let read_only = statvfs(&inner).context("statvfs")?.flags().contains(FsFlags::ST_RDONLY);
    let mounts = mounts_of(&proc, command)?;
    // A copy of a mount namespace may list them in another order.
    let places = |mounts: &[Mount]| -> BTreeSet<_> {
        mounts.iter().map(|it| (it.device.clone(), it.root.clone(), it.point.clone())).collect()
    };
    let mut namespaces = BTreeMap::new();
    for kind in namespaces::KINDS {
        let is = match namespace(&proc, observer, kind) {
            Err(_) => "none",
            Ok(hosts) if hosts == namespace(&proc, command, kind)? => "shared",
            Ok(_) => "new",
        };
        namespaces.insert(kind.to_owned(), is.to_owned());
    }
    let mut column = Column {
        name: name.to_string_lossy().into_owned(),
        hostname: hostname.clone(),
        pid,
        processes_visible: visible.parse()?,
        processes_in_reach: in_reach.count(),
        processes_on_host: hosts.len(),
        root: match () {
            () if root == id_of(Path::new("/"))? => HOST.into(),
            () if id_of(Path::new("rootfs")) == Ok(root) => "rootfs".into(),
            () => "other".into(),
        },
        proc: proc_is.into(),
        proc_read_only: proc_is != "empty" && read_only,
        mounts: if places(&mounts) == places(&hosts_mounts) { HOST.into() } else { "own".into() },
        mounts_visible: mounts.len(),
        mounts_reach_host: do_mounts_reach_host(&proc, command, &family, &hosts_mounts)?,
        exit_status: 0,
        namespaces,
    };
    // The command reads the end of its input, and ends.
    drop(child.stdin.take());
    column.exit_status = child.wait().context("wait4")?.code().context("the step was killed")?;
    Ok(column)
}

/// Returns a namespace of a process: namespaces(7).
fn namespace(proc: &Proc, pid: Pid, kind: &str) -> Result<FileId> {
    proc.id(pid, &format!("ns/{kind}")).with_context(|| format!("stat(\"/proc/{pid}/ns/{kind}\")"))
}

/// True if something mounted inside would show on the host: in the same mount namespace, and in another one whose mounts are
/// still shared with the host's: mount_namespaces(7).
fn do_mounts_reach_host(proc: &Proc, command: Pid, family: &[Process], hosts_mounts: &[Mount]) -> Result<bool> {
    let its = namespace(proc, command, "mnt")?;
    let group = |mounts: &[Mount]| mounts.iter().rfind(|it| it.point == Path::new("/")).and_then(|it| it.peers);
    // A process in a chroot sees no mount outside it, but `run` is in the same namespace and not in the chroot.
    let members = family.iter().filter(|it| namespace(proc, it.pid, "mnt").is_ok_and(|mnt| mnt == its));
    let inside = members.filter_map(|it| group(&mounts_of(proc, it.pid).ok()?)).next();
    Ok(its == namespace(proc, std::process::id(), "mnt")? || inside.is_some() && inside == group(hosts_mounts))
}

/// Returns a process and its descendants, parents first.
fn family(proc: &Proc, first: Pid) -> Result<Vec<Process>> {
    let mut rest = proc.processes()?;
    let mut family: Vec<Process> = rest.extract_if(.., |it| it.pid == first).collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|it| it.pid) {
        family.extend(rest.extract_if(.., |it| it.parent == parent));
        next += 1;
    }
    Ok(family)
}

/// Returns the mounts that a process sees: those at its root and below.
fn mounts_of(proc: &Proc, pid: Pid) -> Result<Vec<Mount>> {
    let table = proc.read(pid, "mountinfo").with_context(|| format!("open(\"/proc/{pid}/mountinfo\")"))?;
    Ok(mountinfo::parse(&table))
}
