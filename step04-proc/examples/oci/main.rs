//! An OCI runtime: the program that podman, containerd and Kubernetes start for each container.
//!
//! New since step 4: a file describes the container, and it starts in two phases. `create` reads config.json and builds
//! everything up to execve(2), and `start` lets that happen. The OCI runtime specification defines the file and the commands.
//!
//!     cargo xtask finale

mod child;
mod container;
mod mounts;

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe};
use serde_json::{Value, json};

use self::container::{Container, Status, join_pid_namespace, list, open, text};

const NAME: &str = env!("CARGO_BIN_NAME");
/// The version of the specification.
const SPEC: &str = "1.0.2";
/// The options that take a value, and those that don't.
const OPTIONS: &str = "--root --log --log-format --cgroup-manager --bundle --pid-file --console-socket --preserve-fds \
                       --process --format";
const FLAGS: &str = "--force --detach --tty --all --debug --help --version";

fn main() -> ExitCode {
    let line = Line::parse(env::args().skip(1));
    if let Some(error) = &line.error {
        line.log("error", error);
        return ExitCode::from(fail(2, error));
    }
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["create", id] => create(&line, id),
        ["start", id] => start(&line, id),
        ["state", id] => state(&line, id),
        ["kill", id, name @ ..] => signal(&line, id, name.first().unwrap_or(&"TERM")),
        ["delete", id] => delete(&line, id),
        ["exec", id, args @ ..] => exec(&line, id, args),
        ["ps", id] => ps(&line, id),
        ["child", mode, directory, pipe, args @ ..] => child::child(&line, mode, Path::new(directory), pipe, args),
        [] if line.has("--version") => print(&format!("{NAME} {}\nspec: {SPEC}", env!("CARGO_PKG_VERSION"))),
        _ => Ok(fail(2, &format!("usage: {NAME} create|start|state|kill|delete|exec|ps [OPTION...] ID [ARG...]"))),
    };
    ExitCode::from(result.unwrap_or_else(|error| line.fail(&format!("{error:#}"))))
}

/// Copies the bundle's config.json, builds the container around a new process, and leaves that waiting for `start`.
fn create(line: &Line, id: &str) -> Result<u8> {
    let bundle = Path::new(line.get("--bundle").unwrap_or("."));
    let bundle = bundle.canonicalize().with_context(|| format!("realpath({bundle:?})"))?;
    let config = container::read_json(&bundle.join("config.json"))?;
    for ignored in container::check(&config)? {
        line.log("warning", &format!("config.json: {ignored} is ignored"));
    }
    let directory = line.directory(id)?;
    container::make_directory(&line.root(), &directory)?;
    let mut container = Container { directory, bundle, cgroup: None, pid: 0, start_time: 0 };
    let created = build(line, &config, &mut container);
    if !matches!(created, Ok(0)) {
        container.end()?;
        container.remove()?;
    }
    created
}

fn build(line: &Line, config: &Value, container: &mut Container) -> Result<u8> {
    fs::write(container.directory.join("config.json"), config.to_string()).context("writing config.json")?;
    container.make_door()?;
    if line.get("--cgroup-manager") != Some("disabled") {
        container.make_cgroup(config)?;
    }
    container.save()?;
    match list(config, "/linux/namespaces").find(|it| text(it, "/type") == Some("pid")).map(|it| text(it, "/path")) {
        Some(Some(path)) => join_pid_namespace(path)?,
        // As in step 2, this decides where our next child is born.
        Some(None) => unshare(CloneFlags::CLONE_NEWPID).context("unshare(CLONE_NEWPID)")?,
        None => {}
    }
    let child = match spawn(line, container, "create", &[])? {
        Ok(child) => child,
        Err(refusal) => return Ok(line.fail(&refusal)),
    };
    container.pid = child.id() as i32;
    container.start_time = container::start_time(container.pid).context("the container's process has died")?;
    container.save()?;
    line.write_pid(&child)
}

/// Opens the fifo on which the container's process waits, as `cat` could. A successful execve(2) closes it; text in it is the
/// reason why there was none.
fn start(line: &Line, id: &str) -> Result<u8> {
    let container = line.container(id)?;
    let status = container.status()?;
    ensure!(status == Status::Created, "the container {id} is {status}, not created");
    let door = container.directory.join("start");
    let refusal = fs::read_to_string(&door).with_context(|| format!("open({door:?})"))?;
    if refusal.is_empty() { Ok(0) } else { Ok(line.fail(&refusal)) }
}

/// Prints the state as JSON.
fn state(line: &Line, id: &str) -> Result<u8> {
    let container = line.container(id)?;
    print(&serde_json::to_string_pretty(&container.state(container.status()?))?)
}

/// Sends a signal, by number or name, to the container's process. If that is process 1 and dies, all others die with it.
fn signal(line: &Line, id: &str, name: &str) -> Result<u8> {
    let container = line.container(id)?;
    let signal = match name.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) => format!("SIG{}", name.trim_start_matches("SIG")).parse().ok(),
    };
    let signal: Signal = signal.with_context(|| format!("there is no signal {name}"))?;
    if line.has("--all") && signal == Signal::SIGKILL && container.kill_cgroup() {
        return Ok(0);
    }
    // Callers look for the last words.
    ensure!(container.status()? != Status::Stopped, "the container {id} is stopped: no such process");
    kill(Pid::from_raw(container.pid), signal).with_context(|| format!("kill({}, {signal})", container.pid))?;
    Ok(0)
}

/// Removes what `create` has made. With --force it ends the container first, and does nothing if there is none.
fn delete(line: &Line, id: &str) -> Result<u8> {
    let force = line.has("--force");
    if force && !line.directory(id)?.exists() {
        return Ok(0);
    }
    let container = line.container(id)?;
    let status = container.status()?;
    ensure!(force || status == Status::Stopped, "the container {id} is {status}: kill it first, or use --force");
    container.end()?;
    container.remove()?;
    Ok(0)
}

/// Starts another process in a container, and waits for it, unless --detach is given.
fn exec(line: &Line, id: &str, args: &[&str]) -> Result<u8> {
    let container = line.container(id)?;
    ensure!(container.status()? != Status::Stopped, "the container {id} is stopped");
    join_pid_namespace(&format!("/proc/{}/ns/pid", container.pid))?;
    match spawn(line, &container, "exec", args)? {
        Ok(child) if line.has("--detach") => line.write_pid(&child),
        Ok(mut child) => line.write_pid(&child).and_then(|_| Ok(shell_status(child.wait().context("wait4")?))),
        Err(refusal) => Ok(line.fail(&refusal)),
    }
}

/// Lists the container's processes, by the host's numbers.
fn ps(line: &Line, id: &str) -> Result<u8> {
    let pids = line.container(id)?.processes();
    match line.get("--format") {
        Some("json") => print(&json!(pids).to_string()),
        _ => print(&pids.iter().map(i32::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Starts this program again as `child`. Returns when that closes its pipe, because it is ready, or because its command has
/// started. Text on the pipe is the reason why neither happened.
fn spawn(line: &Line, container: &Container, mode: &str, args: &[&str]) -> Result<Result<Child, String>> {
    let (reader, pipe) = pipe().context("pipe")?;
    // Not our own file: a command inside that is named /proc/self/exe could open it and overwrite it. This is a sealed copy.
    let copy = memfd_create(NAME, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).context("memfd_create")?;
    let mut copy = File::from(copy);
    io::copy(&mut open("/proc/self/exe")?, &mut copy).context("copying \"/proc/self/exe\"")?;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).context("fcntl(F_ADD_SEALS, F_SEAL_WRITE)")?;
    let mut command = Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    for option in ["--console-socket", "--preserve-fds", "--process"] {
        command.args(line.get(option).into_iter().flat_map(|value| [option, value]));
    }
    let pipe_number = pipe.as_raw_fd().to_string();
    command.arg0(NAME).args(["child", mode]).arg(&container.directory).arg(pipe_number).args(args);
    let mut child = command.spawn().context("execve(\"/proc/self/exe\")")?;
    drop(pipe);
    let mut refusal = String::new();
    File::from(reader).read_to_string(&mut refusal).context("read(pipe)")?;
    if refusal.is_empty() {
        return Ok(Ok(child));
    }
    child.wait().context("wait4")?;
    Ok(Err(refusal))
}

/// A command line.
struct Line {
    options: HashMap<String, String>,
    words: Vec<String>,
    /// What is wrong with it, because an option that says where to report that may come later.
    error: Option<String>,
}

impl Line {
    /// Options stand before or after the command. What follows the ID belongs to the command inside.
    fn parse(mut args: impl Iterator<Item = String>) -> Line {
        let mut line = Line { options: HashMap::new(), words: Vec::new(), error: None };
        while let Some(arg) = args.next() {
            let (name, value) =
                arg.split_once('=').map_or((&*arg, None), |(name, value)| (name, Some(value.to_owned())));
            if !arg.starts_with("--") || line.words.len() > 1 {
                line.words.push(arg);
            } else if FLAGS.split(' ').any(|flag| flag == arg) {
                line.options.insert(arg, String::new());
            } else if !OPTIONS.split(' ').any(|option| option == name) {
                line.error.get_or_insert(format!("there is no option {name}"));
            } else if let Some(value) = value.or_else(|| args.next()) {
                line.options.insert(name.to_owned(), value);
            } else {
                line.error.get_or_insert(format!("{name} takes a value"));
            }
        }
        if line.get("--cgroup-manager") == Some("systemd") {
            line.error.get_or_insert("--cgroup-manager takes cgroupfs or disabled".to_owned());
        }
        line
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// Returns the directory in which every container has a directory. An ordinary user's is in that user's runtime directory.
    fn root(&self) -> PathBuf {
        let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty()).unwrap_or_else(|| "/run".into());
        self.get("--root").map_or_else(|| Path::new(&runtime).join(NAME), PathBuf::from)
    }

    fn directory(&self, id: &str) -> Result<PathBuf> {
        ensure!(!["", ".", ".."].contains(&id) && !id.contains('/'), "an ID is the name of a directory, not {id:?}");
        Ok(self.root().join(id))
    }

    fn container(&self, id: &str) -> Result<Container> {
        Container::read(&self.directory(id)?).with_context(|| format!("there is no container {id}"))
    }

    fn write_pid(&self, child: &Child) -> Result<u8> {
        let Some(path) = self.get("--pid-file") else { return Ok(0) };
        fs::write(path, child.id().to_string()).with_context(|| format!("write({path:?})")).map(|()| 0)
    }

    /// Reports the reason on stderr and in the log, where containerd and docker look for it. Returns the exit status.
    fn fail(&self, reason: &str) -> u8 {
        // docker finds out why by Go's spelling of an errno, which has no capitals.
        self.log("error", &reason.replace("No such", "no such").replace("Permission", "permission"));
        let status = match reason.starts_with("execve(") {
            false => 125,
            true => 126 + u8::from(reason.contains("): ENOENT")),
        };
        fail(status, reason)
    }

    fn log(&self, level: &str, message: &str) {
        let Some(path) = self.get("--log") else { return };
        let entry = match self.get("--log-format") {
            Some("json") => json!({"level": level, "msg": message}).to_string(),
            _ => format!("{level}: {message}"),
        };
        let _ = OpenOptions::new().append(true).create(true).open(path).and_then(|mut log| writeln!(log, "{entry}"));
    }
}

fn print(text: &str) -> Result<u8> {
    // In one write, because a reader of several lines may stop at the first.
    io::stdout().write_all(format!("{text}\n").as_bytes()).context("write(1)").map(|()| 0)
}

/// Converts to a shell's exit status: the command's own, or 128 + n if signal n killed it.
fn shell_status(status: ExitStatus) -> u8 {
    status.code().or(status.signal().map(|n| 128 + n)).unwrap_or(125) as u8
}

/// Prints the reason in one write, so that the line stays whole when another process writes too.
fn fail(status: u8, reason: &str) -> u8 {
    let _ = io::stderr().write_all(format!("{NAME}: {reason}\n").as_bytes());
    status
}
