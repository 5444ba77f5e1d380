//! `cargo xtask compare`: the same questions on the bare host and inside each step, and the kernel's view of it.
//!
//! The command inside, a shell, says what only it can know: its hostname, its number, what it sees and whom it can signal.
//! Then it waits, and whoever started it looks at it from outside, in /proc/PID: what it says of itself need not be
//! believed. Each column has a throwaway host of its own, so that no step sees what another did.
//!
//! ```text
//! xtask compare          one at a time, for the host itself and for each step:
//! └─ xtask host          the throwaway host; not with --real
//!    └─ xtask --look     on it: starts the next one, asks, looks into its /proc/PID, and prints a column
//!       └─ sh            the command: the host's own, or that of `stepNN run`
//! ```

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::json::quoted;
use crate::mounts::{self, Mount};
use crate::privilege::{self, Privilege};
use crate::{namespaces, rootfs, stdout, steps, workspace};

/// The hidden first argument with which this program looks, on the host.
pub const LOOK: &str = "--look";

/// The column that is no step.
const HOST: &str = "host";

/// What the command inside is asked: its hostname, its number, how many processes it sees, which of the numbers given to it
/// `kill` accepts. It takes no tool but hostname, and no /dev/null, for from step 3 on /dev is empty.
const QUESTIONS: &str = r#"
    exec 2>&-
    hostname
    echo $$
    n=0; for p in /proc/[0-9]*; do [ -d "$p" ] && n=$((n + 1)); done; echo $n
    reached=; for p do kill -0 $p && reached="$reached $p"; done; echo $reached
    read until_they_have_looked
    exit 7"#;

/// When to colour the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// What `xtask compare` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Print JSON instead of the table.
    pub json: bool,
    /// When to colour the table.
    pub color: Color,
    /// On this machine instead of throwaway hosts.
    pub real: bool,
    /// The only way to use for the rights; `None` finds one.
    pub privilege: Option<Privilege>,
}

/// Asks and looks everywhere, and prints what was found, as a table or as JSON.
///
/// The rows, each with the name it has in JSON:
/// - `hostname`: what hostname(1) says.
/// - `pid`: the command's number in its own PID namespace. (The host's is not 1, which is its init, but 11: after init, the
///   eight daemons and the program that asks.)
/// - `processes_visible`: the entries of /proc that are numbers, as the command sees it. Step 2 sees three besides the
///   host's: `run`, `child` and itself.
/// - `processes_in_reach` of `processes_on_host`: the host's processes are those that were there before the command, with
///   the one that asks. In reach are those that the command can signal: kill(2) with signal 0 accepts the number, and the
///   number is not one of the container's own processes.
/// - `root`: is `/` the same folder (device and inode) as the `host`'s `/`, or as ./`rootfs`; else `other`.
/// - `proc`: is /proc the same file system as the `host`'s, one of its `own`, or an `empty` folder; else `other`. And
///   `proc_read_only`.
/// - `mounts`: does the command see the same mounts as the `host`; else `own`. And their number, `mounts_visible`.
/// - `mounts_reach_host`: would something mounted inside show on the host? Yes in the same mount namespace, and
///   in another one whose mounts are still shared with the host's: mount_namespaces(7).
/// - `exit_status` of a command that ends with `exit 7`.
/// - `namespaces`: of each kind, is it `shared` with the host, or `new`? By the inode of /proc/PID/ns/KIND, read on the host.
///   `none` if the kernel has no such kind.
///
/// The JSON is an object with `host` (`throwaway` or `real`) and `columns`, an array of an object each: `name` (`host` or that
/// of the step), then the above; `namespaces` is an object.
///
/// # Errors
/// When the steps can't be built or run, or the kernel refuses the rights. The error says what a step said.
pub fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.real || options.privilege != Some(Privilege::Sudo), "--privilege sudo is for --real");
    let programs = lab::cargo::steps_and(&["xtask", "grader"])?;
    let steps = steps::all()?;
    // Of all steps, the last asks for most.
    let last = steps.last().context("there are no steps")?.number;
    let rights = match options.real {
        true => Some(privilege::choose(&privilege::ways_to_run(), options.privilege, last)?.privilege),
        false => options.privilege,
    };
    let mut columns = Vec::new();
    for name in [HOST].into_iter().chain(steps.iter().map(|step| step.name.as_str())) {
        columns.push(column(name, &programs, options.real, rights).with_context(|| name.to_owned())?);
    }
    let text = match options.json {
        true => json(&columns, options.real),
        false => table(&columns, is_colored(options.color)),
    };
    if options.real && rights == Some(Privilege::User) {
        eprintln!("xtask: the steps ran in a user namespace, as in `cargo xtask run`: so theirs is new");
    }
    stdout::write(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn is_colored(color: Color) -> bool {
    let wants_none = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match color {
        Color::Auto => io::stdout().is_terminal() && !wants_none() && env::var_os("TERM").is_none_or(|it| it != "dumb"),
        Color::Always => true,
        Color::Never => false,
    }
}

/// The answers of one column, by the names of [`run`]; a namespace is `ns.KIND`.
#[derive(Debug)]
struct Column {
    name: String,
    answers: Vec<(String, String)>,
}

impl Column {
    fn get(&self, key: &str) -> &str {
        self.answers.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }
}

/// Has one column made, on a new throwaway host or on this machine.
fn column(name: &str, programs: &BTreeMap<String, PathBuf>, real: bool, rights: Option<Privilege>) -> Result<Column> {
    let (xtask, grader) = (&programs["xtask"], &programs["grader"]);
    let program = if real { grader } else { xtask };
    let mut command = match rights {
        // To look at root's processes takes root as well.
        Some(Privilege::Sudo) => Command::new("sudo"),
        _ => Command::new(program),
    };
    if rights == Some(Privilege::Sudo) {
        command.arg("--").arg(program);
    }
    if real {
        command.arg(LOOK).arg(name);
        command.args((rights == Some(Privilege::User)).then_some(ENTER));
    } else {
        command.args(["host", "--die-with-parent"]);
        match rights {
            Some(Privilege::Root) => _ = command.args(["--privilege", "root"]),
            Some(Privilege::User) => _ = command.args(["--privilege", "user"]),
            _ => {}
        }
        command.arg("--").arg(grader).args([LOOK, name]);
    }
    // The pristine rootfs, whatever a learner did to theirs.
    command.current_dir(rootfs::test_directory()?);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("execve({:?})", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim().trim_start_matches("xtask: ").replace('\n', "; "));
    let text = String::from_utf8(output.stdout)?;
    let answers = text.lines().filter_map(|line| line.split_once(' ')).map(|(key, value)| (key.into(), value.into()));
    Ok(Column { name: name.to_owned(), answers: answers.collect() })
}

/// What stands behind [`LOOK`] and the name of a column if the step is to run in a user namespace.
const ENTER: &str = "--enter";

/// The side on the host: starts the command, asks, looks, and prints a line for each answer.
///
/// # Errors
/// When the command does not answer, or is not to be found in /proc.
pub fn look(args: &[OsString]) -> Result<ExitCode> {
    let (enter, args) = match args {
        [args @ .., last] if last == ENTER => (true, args),
        args => (false, args),
    };
    match args {
        [name] => io::stdout().write_all(answers(name, enter)?.as_bytes())?,
        [name, program @ ..] if name == ENTER && !program.is_empty() => {
            privilege::enter_user_namespace()?;
            return Err(Command::new(&program[0]).args(&program[1..]).exec()).context("execve");
        }
        _ => bail!("`{LOOK}` is for `compare`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the command and returns a line for each answer: its name, a blank and its value.
fn answers(name: &OsStr, enter: bool) -> Result<String> {
    let hosts = processes()?;
    let hosts_mounts = mounts_of("self")?;
    let mut words: Vec<OsString> = Vec::new();
    if name != HOST {
        if enter {
            words.extend([env::current_exe()?.into(), LOOK.into(), ENTER.into()]);
        }
        words.extend([workspace::programs()?.join(name).into(), "run".into()]);
    }
    words.extend(["sh", "-c", QUESTIONS, "sh"].map(OsString::from));
    words.extend(hosts.iter().map(|pid| pid.to_string().into()));
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("execve({:?})", words[0]))?;
    let mut stdout = BufReader::new(child.stdout.take().context("is piped")?);
    let mut said = Vec::new();
    for _ in 0..4 {
        let mut line = String::new();
        if stdout.read_line(&mut line)? == 0 {
            return Err(no_answer(child));
        }
        said.push(line.trim().to_owned());
    }

    let family = family(child.id())?;
    let own: u32 = said[1].parse().context("the command's own PID")?;
    // The last of those with that number: in a new PID namespace, only it can be the command.
    let command = family.iter().rfind(|it| it.inside == own).context("the command is not to be found in /proc")?.pid;
    let mut text = String::new();
    let mut answer = |key: &str, value: &dyn Display| writeln!(text, "{key} {value}").expect("a String takes all");

    answer("hostname", &said[0]);
    answer("pid", &own);
    answer("processes_visible", &said[2]);
    let reached: Vec<u32> = said[3].split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    // In a new PID namespace there are a 1 and a 2 as well, but they are not the host's.
    let reached = reached.iter().filter(|pid| family.iter().all(|it| it.inside != **pid));
    answer("processes_in_reach", &reached.count());
    answer("processes_on_host", &hosts.len());

    let root = format!("/proc/{command}/root");
    let root_is = match () {
        () if is_same(&root, "/")? => "host",
        () if Path::new("rootfs").exists() && is_same(&root, "rootfs")? => "rootfs",
        () => "other",
    };
    answer("root", &root_is);
    let proc = format!("{root}/proc");
    let proc_is = match () {
        () if is_same(&proc, "/proc")? => "host",
        () if statfs(proc.as_str()).context("statfs")?.filesystem_type() == PROC_SUPER_MAGIC => "own",
        () if fs::read_dir(&proc)?.next().is_none() => "empty",
        () => "other",
    };
    answer("proc", &proc_is);
    let flags = statvfs(proc.as_str()).context("statvfs")?.flags();
    answer("proc_read_only", &(proc_is != "empty" && flags.contains(FsFlags::ST_RDONLY)));

    let seen = mounts_of(&command.to_string())?;
    // A copy of a mount namespace may list them in another order.
    let sorted = |mounts: &[Mount]| {
        let mut places: Vec<_> =
            mounts.iter().map(|it| (it.device.clone(), it.root.clone(), it.point.clone())).collect();
        places.sort();
        places
    };
    answer("mounts", &if sorted(&seen) == sorted(&hosts_mounts) { "host" } else { "own" });
    answer("mounts_visible", &seen.len());
    answer("mounts_reach_host", &do_mounts_reach_host(command, &family, &hosts_mounts)?);

    for kind in namespaces::KINDS {
        let is = match (namespace("self", kind), namespace(&command.to_string(), kind)) {
            (Err(_), _) => "none",
            (Ok(hosts), Ok(its)) if hosts == its => "shared",
            (Ok(_), its) => its.map(|_| "new")?,
        };
        answer(&format!("ns.{kind}"), &is);
    }

    // The command reads the end of its input, and ends.
    drop(child.stdin.take());
    let status = child.wait().context("wait4")?;
    answer("exit_status", &status.code().context("the step was killed")?);
    Ok(text)
}

/// Are these the same file or folder?
fn is_same(one: &str, other: &str) -> Result<bool> {
    let inode =
        |path: &str| fs::metadata(path).map(|it| (it.dev(), it.ino())).with_context(|| format!("stat({path:?})"));
    Ok(inode(one)? == inode(other)?)
}

/// A namespace of a process, such as `uts:[4026531838]`: namespaces(7).
fn namespace(pid: &str, kind: &str) -> Result<PathBuf> {
    let path = format!("/proc/{pid}/ns/{kind}");
    fs::read_link(&path).with_context(|| format!("readlink({path:?})"))
}

/// Would something mounted inside show on the host?
fn do_mounts_reach_host(command: u32, family: &[Member], hosts_mounts: &[Mount]) -> Result<bool> {
    let its = namespace(&command.to_string(), "mnt")?;
    if its == namespace("self", "mnt")? {
        return Ok(true);
    }
    // Who is in a chroot sees no mount outside of it; but `run` is in the same namespace, and not in the chroot.
    let group = |mounts: &[Mount]| mounts.iter().rfind(|it| it.point == Path::new("/")).and_then(|it| it.peers);
    for member in family {
        let pid = member.pid.to_string();
        if namespace(&pid, "mnt")? == its
            && let Some(group_inside) = group(&mounts_of(&pid)?)
        {
            return Ok(group(hosts_mounts) == Some(group_inside));
        }
    }
    Ok(false)
}

/// Why there was no answer: the step says so itself.
fn no_answer(mut child: Child) -> anyhow::Error {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    match child.wait() {
        Ok(status) if said.is_empty() => anyhow::anyhow!("no answer, but {status}"),
        Ok(_) => anyhow::anyhow!("no answer, but: {}", said.trim().replace('\n', "; ")),
        Err(error) => error.into(),
    }
}

/// The PIDs in /proc, in their order.
fn processes() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("open(\"/proc\")")?.flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// A process and its numbers on the host and in its own PID namespace.
struct Member {
    pid: u32,
    inside: u32,
}

/// A process and all that descend from it, parents first: proc_pid_status(5).
fn family(first: u32) -> Result<Vec<Member>> {
    let mut all = Vec::new();
    for pid in processes()? {
        // One that has ended meanwhile is none of ours: ours wait.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().last()?.parse::<u32>().ok())
        };
        if let (Some(parent), Some(inside)) = (field("PPid"), field("NSpid")) {
            all.push((parent, Member { pid, inside }));
        }
    }
    let (first, mut rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, it)| it.pid == first);
    let mut family: Vec<Member> = first.into_iter().map(|(_, it)| it).collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|it| it.pid) {
        family.extend(rest.extract_if(.., |(its, _)| *its == parent).map(|(_, it)| it));
        next += 1;
    }
    Ok(family)
}

/// The mounts that a process sees: those at its root and below.
fn mounts_of(pid: &str) -> Result<Vec<Mount>> {
    let path = format!("/proc/{pid}/mountinfo");
    Ok(mounts::parse(&fs::read(&path).with_context(|| format!("open({path:?})"))?))
}

/// What a cell says of its isolation, and so how it is coloured. The words in it say the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Shared,
    New,
}

/// Paints a text; the length of what surrounds it must not count.
fn paint(text: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Shared => format!("\x1b[33m{text}\x1b[0m"),
        Style::New => format!("\x1b[32m{text}\x1b[0m"),
    }
}

/// What the table calls each row, and what a column says there.
type Row = (&'static str, fn(&Column) -> (String, Style));

/// The words for something that the host has as well.
const HOSTS: &str = "host's";

/// A word that says whether something is shared with the host.
fn styled(text: impl Into<String>, shared: bool) -> (String, Style) {
    (text.into(), if shared { Style::Shared } else { Style::New })
}

const ROWS: [Row; 9] = [
    ("hostname", |it| styled(it.get("hostname"), it.get("ns.uts") == "shared")),
    ("own PID", |it| styled(it.get("pid"), it.get("ns.pid") == "shared")),
    ("processes it sees", |it| {
        let none = it.get("processes_visible") == "0";
        styled(if none { "none" } else { it.get("processes_visible") }, it.get("proc") == "host")
    }),
    ("host's it can kill", |it| {
        let reach = it.get("processes_in_reach");
        styled(format!("{reach} of {}", it.get("processes_on_host")), reach != "0")
    }),
    ("/", |it| match it.get("root") {
        "host" => styled(HOSTS, true),
        other => styled(other, false),
    }),
    ("/proc", |it| {
        let suffix = if it.get("proc_read_only") == "true" { " (ro)" } else { "" };
        match it.get("proc") {
            "host" => styled(format!("{HOSTS}{suffix}"), true),
            other => styled(format!("{other}{suffix}"), false),
        }
    }),
    ("mounts it sees", |it| match (it.get("mounts"), it.get("mounts_visible")) {
        ("host", _) => styled(HOSTS, true),
        (_, "0") => styled("none", false),
        (_, count) => styled(count, false),
    }),
    ("mounts reach host", |it| match it.get("mounts_reach_host") {
        "true" => styled("yes", true),
        _ => styled("no", false),
    }),
    ("status of `exit 7`", |it| (it.get("exit_status").to_owned(), Style::Plain)),
];

fn table(columns: &[Column], colored: bool) -> String {
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    let heading = columns.iter().map(|it| it.name.split('-').next().unwrap_or_default().to_owned());
    lines.push([String::new()].into_iter().chain(heading).map(|it| (it, Style::Plain)).collect());
    for (label, cell) in ROWS {
        lines.push([(label.to_owned(), Style::Plain)].into_iter().chain(columns.iter().map(cell)).collect());
    }
    lines.push(Vec::new());
    for kind in namespaces::KINDS {
        let cell = |it: &Column| match it.get(&format!("ns.{kind}")) {
            "shared" => styled(HOSTS, true),
            other => styled(other, false),
        };
        lines.push([(format!("{kind} namespace"), Style::Plain)].into_iter().chain(columns.iter().map(cell)).collect());
    }
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|(text, _)| text.chars().count()).max();
    let widths: Vec<usize> = (0..=columns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, style)) in line.iter().enumerate() {
            // The host is what the steps are compared with.
            let style = if colored && at > 1 { *style } else { Style::Plain };
            let gap = if at + 1 < line.len() { widths[at] + 2 - cell.chars().count() } else { 0 };
            let _ = write!(text, "{}{:gap$}", paint(cell, style), "");
        }
        text.push('\n');
    }
    text
}

fn json(columns: &[Column], real: bool) -> String {
    let value = |text: &str, is_text: bool| if is_text { quoted(text) } else { text.to_owned() };
    let objects: Vec<String> = columns
        .iter()
        .map(|column| {
            let (spaces, plain): (Vec<_>, Vec<_>) = column.answers.iter().partition(|(key, _)| key.starts_with("ns."));
            let mut members = vec![format!("\"name\": {}", quoted(&column.name))];
            members.extend(plain.iter().map(|(key, text)| {
                let is_text = ["hostname", "root", "proc", "mounts"].contains(&key.as_str());
                format!("{}: {}", quoted(key), value(text, is_text))
            }));
            let spaces = spaces.iter().map(|(key, text)| format!("{}: {}", quoted(&key["ns.".len()..]), quoted(text)));
            members.push(format!("\"namespaces\": {{{}}}", spaces.collect::<Vec<_>>().join(", ")));
            format!("    {{\n      {}\n    }}", members.join(",\n      "))
        })
        .collect();
    let host = if real { "real" } else { "throwaway" };
    format!("{{\n  \"host\": \"{host}\",\n  \"columns\": [\n{}\n  ]\n}}\n", objects.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, answers: &[(&str, &str)]) -> Column {
        let answers = answers.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Column { name: name.into(), answers }
    }

    #[test]
    fn colour_takes_no_room_and_leaves_the_host_alone() {
        let columns = [column("host", &[("ns.uts", "shared")]), column("step01-uts", &[("ns.uts", "new")])];
        let colored = table(&columns, true);
        let stripped =
            ["\x1b[33m", "\x1b[32m", "\x1b[0m"].iter().fold(colored.clone(), |it, code| it.replace(code, ""));
        assert_eq!(stripped, table(&columns, false));
        assert!(colored.contains("uts namespace       host's  \x1b[32mnew\x1b[0m\n"), "{colored}");
    }
}
