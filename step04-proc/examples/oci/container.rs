//! What is known about a container: the copy of its config.json, a few facts in state.json, and what the kernel says.

use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

/// What the kernel says about the container's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It still runs our own program, and waits for `start`.
    Created,
    /// It runs the command.
    Running,
    /// It is dead, perhaps with another process under its number.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", format!("{self:?}").to_lowercase())
    }
}

/// A container, and the directory that remembers it.
pub struct Container {
    pub directory: PathBuf,
    pub bundle: PathBuf,
    pub cgroup: Option<PathBuf>,
    pub pid: i32,
    /// Together with the PID it names a process for all time.
    pub start_time: u64,
}

impl Container {
    /// Reads what `save` has written.
    pub fn read(directory: &Path) -> Result<Container> {
        let state = read_json(&directory.join("state.json"))?;
        let path = |name| text(&state, name).map(PathBuf::from);
        Ok(Container {
            directory: directory.to_owned(),
            bundle: path("/bundle").unwrap_or_default(),
            cgroup: path("/cgroup"),
            pid: number(&state, "/pid").unwrap_or(0) as i32,
            start_time: number(&state, "/startTime").unwrap_or(0),
        })
    }

    /// Writes down what nobody else remembers.
    pub fn save(&self) -> Result<()> {
        let Container { bundle, cgroup, pid, start_time, .. } = self;
        let state = json!({"bundle": bundle, "cgroup": cgroup, "pid": pid, "startTime": start_time});
        fs::write(self.directory.join("state.json"), state.to_string()).context("writing state.json")
    }

    /// Makes the fifo on which the container's process waits.
    pub fn make_door(&self) -> Result<()> {
        let door = self.directory.join("start");
        mkfifo(&door, Mode::S_IRUSR).with_context(|| format!("mkfifo({door:?})"))?;
        // Not mkfifo's mode, because the umask is taken from that, and the container's user must be able to write.
        fs::set_permissions(&door, Permissions::from_mode(0o622)).with_context(|| format!("chmod({door:?})"))
    }

    /// Returns the config.json with which the container was created.
    pub fn config(&self) -> Result<Value> {
        read_json(&self.directory.join("config.json"))
    }

    // ANCHOR: status
    /// Asks the kernel.
    pub fn status(&self) -> Result<Status> {
        if start_time(self.pid).is_none_or(|time| time != self.start_time) {
            return Ok(Status::Stopped);
        }
        let exe = format!("/proc/{}/exe", self.pid);
        match fs::read_link(&exe) {
            Ok(file) if file.to_string_lossy().starts_with(&format!("/memfd:{}", crate::NAME)) => Ok(Status::Created),
            Ok(_) => Ok(Status::Running),
            // A process that has ended has no program. In a user namespace, the error may be EACCES instead of ENOENT.
            Err(_) if is_ending(self.pid) => Ok(Status::Stopped),
            Err(error) => Err(error).with_context(|| format!("readlink({exe:?})")),
        }
    }
    // ANCHOR_END: status

    /// Returns the state as the specification defines it.
    pub fn state(&self, status: Status) -> Value {
        let id = self.directory.file_name().map(|it| it.to_string_lossy());
        let pid = if status == Status::Stopped { 0 } else { self.pid };
        json!({"ociVersion": crate::SPEC, "id": id, "status": status.to_string(), "pid": pid, "bundle": self.bundle})
    }

    /// Returns the processes that have the container's mount namespace.
    pub fn processes(&self) -> Vec<i32> {
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let Some(own) = namespace(self.pid) else { return Vec::new() };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok());
        pids.filter(|pid| namespace(*pid).as_ref() == Some(&own)).collect()
    }

    /// Kills the container's process, and waits until it is dead.
    pub fn end(&self) -> Result<()> {
        let start = Instant::now();
        while self.status()? != Status::Stopped {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            ensure!(start.elapsed() < Duration::from_secs(10), "process {} doesn't die", self.pid);
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Makes the container's cgroup, with its limits. Without version 2 of cgroups there can be none.
    pub fn make_cgroup(&mut self, config: &Value) -> Result<()> {
        let limit = |name| number(config, name).filter(|limit| *limit > 0);
        let limits = [("memory.max", "/linux/resources/memory/limit"), ("pids.max", "/linux/resources/pids/limit")];
        let limits: Vec<_> = limits.into_iter().filter_map(|(file, name)| Some((file, limit(name)?))).collect();
        let root = Path::new("/sys/fs/cgroup");
        let Some(path) = text(config, "/linux/cgroupsPath").filter(|_| has_cgroup2(root)) else {
            ensure!(limits.is_empty(), "linux.resources: a limit needs cgroup v2 and linux.cgroupsPath");
            return Ok(());
        };
        let cgroup = root.join(path.trim_start_matches('/'));
        if let Err(error) = fs::create_dir_all(&cgroup) {
            // An ordinary user may have no place for one.
            ensure!(limits.is_empty(), "mkdir({cgroup:?}): {error}");
            return Ok(());
        }
        // A controller has to be enabled on the way down. Where it can't be, its file is missing below.
        let parents: Vec<_> = cgroup.ancestors().skip(1).take_while(|it| it.starts_with(root)).collect();
        for parent in parents.into_iter().rev() {
            for controller in ["+memory", "+pids"] {
                let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
            }
        }
        self.cgroup = Some(cgroup.clone());
        for (file, limit) in limits {
            write(&cgroup.join(file), &limit.to_string())?;
        }
        Ok(())
    }

    /// Moves this process into the container's cgroup.
    pub fn join_cgroup(&self) -> Result<()> {
        self.cgroup.as_ref().map_or(Ok(()), |cgroup| write(&cgroup.join("cgroup.procs"), "0"))
    }

    /// Kills all processes in the container's cgroup. False if it has none.
    pub fn kill_cgroup(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| write(&cgroup.join("cgroup.kill"), "1").is_ok())
    }

    /// Removes the container's directory and its cgroup.
    pub fn remove(&self) -> Result<()> {
        let start = Instant::now();
        // The kernel needs a moment to let go of the last process.
        while let Some(Err(error)) = self.cgroup.as_ref().filter(|it| it.exists()).map(fs::remove_dir) {
            ensure!(start.elapsed() < Duration::from_secs(1), "rmdir({:?}): {error}", self.cgroup);
            self.kill_cgroup();
            sleep(Duration::from_millis(1));
        }
        fs::remove_dir_all(&self.directory).with_context(|| format!("rmdir({:?})", self.directory))
    }
}

/// Makes a container's directory, and the one for all of them.
pub fn make_directory(root: &Path, directory: &Path) -> Result<()> {
    let make = |mode, path: &Path| {
        DirBuilder::new().recursive(path == root).mode(mode).create(path).with_context(|| format!("mkdir({path:?})"))
    };
    make(0o700, root)?;
    // The container's user must find the fifo in it. The directory above lets nobody else in.
    make(0o711, directory)
}

/// Like unshare, this doesn't move us. It decides where our next child is born.
pub fn join_pid_namespace(path: &str) -> Result<()> {
    setns(open(path)?, CloneFlags::CLONE_NEWPID).with_context(|| format!("setns({path:?}, CLONE_NEWPID)"))
}

/// Opens a file for reading.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    File::open(&path).with_context(|| format!("open({:?})", path.as_ref()))
}

/// Writes to a file that the kernel made. fs::write would try to create one.
fn write(path: &Path, value: &str) -> Result<()> {
    let file = File::options().write(true).open(path).with_context(|| format!("open({path:?})"));
    file?.write_all(value.as_bytes()).with_context(|| format!("write({path:?}, {value:?})"))
}

/// True if a directory is in a tree of version 2 of cgroups.
pub fn has_cgroup2(path: &Path) -> bool {
    statfs(path).is_ok_and(|it| it.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// Returns when a process started, in ticks since boot.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid, 22)
}

/// True if a process is dead or dying: the flag PF_EXITING of the kernel.
fn is_ending(pid: i32) -> bool {
    stat(pid, 9).is_none_or(|flags| flags & 4 != 0)
}

/// Returns a field of /proc/PID/stat, counted as in proc_pid_stat(5).
fn stat(pid: i32, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses, and may contain some. The field after it is the third.
    stat.rsplit_once(')')?.1.split_whitespace().nth(field - 3)?.parse().ok()
}

/// Reads a JSON document.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("open({path:?})"))?;
    serde_json::from_slice(&text).with_context(|| format!("{path:?} is not JSON"))
}

/// What this runtime can't do. A container without it wouldn't be the one that was asked for.
const REFUSED: [&str; 3] = ["/hooks", "/linux/devices", "/linux/uidMappings"];
/// What every caller asks for, and this runtime leaves out.
const IGNORED: [&str; 7] = [
    "/linux/seccomp",
    "/linux/mountLabel",
    "/linux/resources/devices",
    "/linux/resources/cpu",
    "/linux/resources/blockIO",
    "/process/apparmorProfile",
    "/process/selinuxLabel",
];

/// Refuses what this runtime can't do, and returns what it ignores.
pub fn check(config: &Value) -> Result<Vec<&'static str>> {
    let is_empty = |value: &Value| [json!(null), json!([]), json!({}), json!("")].contains(value);
    let present = |path: &&&str| config.pointer(path).is_some_and(|value| !is_empty(value));
    if let Some(path) = REFUSED.iter().find(present) {
        bail!("config.json: {path} is not supported");
    }
    let kinds: Vec<_> = list(config, "/linux/namespaces").filter_map(|it| text(it, "/type")).collect();
    if let Some(kind) = kinds.iter().find(|kind| !["pid", "uts", "ipc", "network", "cgroup", "mount"].contains(kind)) {
        bail!("config.json: a namespace of the type {kind:?} is not supported");
    }
    ensure!(kinds.contains(&"mount"), "config.json: a container without a mount namespace is not supported");
    ensure!(
        kinds.contains(&"uts") || text(config, "/hostname").is_none(),
        "config.json: a hostname needs a uts namespace"
    );
    // All other settings would be the host's.
    for name in config.pointer("/linux/sysctl").and_then(Value::as_object).into_iter().flat_map(|it| it.keys()) {
        let owner = match name.split('.').collect::<Vec<_>>()[..] {
            ["net", ..] => "network",
            ["fs", "mqueue", ..]
            | ["kernel", "sem" | "msgmax" | "msgmnb" | "msgmni" | "shmall" | "shmmax" | "shmmni"] => "ipc",
            _ => bail!("config.json: the sysctl {name} belongs to the host"),
        };
        ensure!(kinds.contains(&owner), "config.json: the sysctl {name} needs a namespace of the type {owner}");
    }
    Ok(IGNORED.iter().filter(present).copied().collect())
}

/// Returns a string in a JSON document, by its path.
pub fn text<'a>(json: &'a Value, path: &str) -> Option<&'a str> {
    json.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

/// Returns a number.
pub fn number(json: &Value, path: &str) -> Option<u64> {
    json.pointer(path)?.as_u64()
}

/// Returns the elements of a list, which may be missing.
pub fn list<'a>(json: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> + Clone + use<'a> {
    json.pointer(path).and_then(Value::as_array).into_iter().flatten()
}
