//! The part of the bench that runs on a throwaway host: looks at each contender's container from outside, then lets them run
//! in turn. It prints what it finds, a line each, and `xtask bench` reads that.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};

use super::contenders::{self, Contender, FLOOR, Inside};
use super::numbers::{Calls, Race, status_kb, strace_table};
use crate::namespaces;
use crate::steps::{self, Step};

/// The hidden first argument with which this program runs the races: then the room, the folder of the steps' programs, and
/// the number of runs.
pub const TRACK: &str = "--track";

/// How long a contender may take to show its container.
const LIMIT: Duration = Duration::from_secs(20);

/// What the first step is compared with.
pub const NOTHING: &str = "nothing";

/// What a contender's container was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The namespaces that the command has and its host has not, such as `mnt pid uts`.
    pub namespaces: String,
    /// The peak resident size of each process but the command's, in kB, the parent first.
    pub memory: Vec<u64>,
}

/// A line of what the races found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// This contender makes a container.
    Seen(String, Seen),
    /// This one failed, and why.
    Failed(String, String),
    /// These two ran, one after the other.
    Pair(String, String, Duration, Duration),
    /// So many system calls, in one run.
    Calls(String, Calls),
}

impl Line {
    fn print(&self) -> Result<()> {
        let text = match self {
            Line::Seen(name, seen) => {
                let memory: Vec<String> = seen.memory.iter().map(u64::to_string).collect();
                format!("seen\t{name}\t{}\t{}", seen.namespaces, memory.join(" "))
            }
            Line::Failed(name, why) => {
                format!("failed\t{name}\t{}", why.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Line::Pair(a, b, left, right) => format!("pair\t{a}\t{b}\t{}\t{}", left.as_nanos(), right.as_nanos()),
            Line::Calls(name, calls) => format!("calls\t{name}\t{}\t{}", calls.all, calls.rt_sigaction),
        };
        writeln!(std::io::stdout(), "{text}").context("telling what was found")
    }

    /// Reads what was printed.
    ///
    /// # Errors
    /// When it is no such line.
    pub fn parse(line: &str) -> Result<Line> {
        let fields: Vec<&str> = line.split('\t').collect();
        let nanos = |text: &str| text.parse().map(Duration::from_nanos).context("no duration");
        Ok(match fields.as_slice() {
            ["seen", name, namespaces, memory] => {
                let memory = memory.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
                Line::Seen((*name).into(), Seen { namespaces: (*namespaces).into(), memory })
            }
            ["failed", name, why] => Line::Failed((*name).into(), (*why).into()),
            ["pair", a, b, left, right] => Line::Pair((*a).into(), (*b).into(), nanos(left)?, nanos(right)?),
            ["calls", name, all, rt_sigaction] => {
                Line::Calls((*name).into(), Calls { all: all.parse()?, rt_sigaction: rt_sigaction.parse()? })
            }
            _ => bail!("the races said {line:?}"),
        })
    }
}

/// Looks at everybody, and runs all races.
///
/// # Errors
/// When it was started wrongly, or nobody listens. A contender that fails is a line.
pub fn run(args: &[OsString]) -> Result<ExitCode> {
    let [room, programs, runs] = args else { bail!("{TRACK} is for `xtask bench` to start") };
    let (room, programs) = (Path::new(room), Path::new(programs));
    let runs: usize = runs.to_str().and_then(|runs| runs.parse().ok()).context("how many runs?")?;
    cover_unified_cgroup();

    let steps = steps::all()?;
    let last = steps.last().context("there are no steps")?;
    let fit = |all: Vec<Contender>| -> Result<Vec<Contender>> {
        let mut fit = Vec::new();
        for contender in all {
            match look(&contender, room, LIMIT) {
                Ok(seen) => {
                    Line::Seen(contender.name.clone(), seen).print()?;
                    fit.push(contender);
                }
                Err(error) => Line::Failed(contender.name.clone(), format!("{error:#}")).print()?,
            }
        }
        Ok(fit)
    };
    let ours = fit(contenders::ours(room, &programs.join(&last.name)))?;
    let peers = fit(contenders::peers(room).0)?;
    let in_room = |contender: &Contender| {
        let mut command = contender.command(Inside::True);
        command.current_dir(room);
        command
    };
    for contender in ours.iter().chain(&peers) {
        if let Some(calls) = count_calls(&in_room(contender), room)? {
            Line::Calls(contender.name.clone(), calls).print()?;
        }
    }
    for our in &ours {
        for peer in &peers {
            race((&our.name, &mut in_room(our)), (&peer.name, &mut in_room(peer)), runs)?;
        }
    }
    // Those that are linked otherwise, with what the workspace builds.
    if let Some((first, others)) = ours.split_first() {
        for other in others {
            race((&other.name, &mut in_room(other)), (&first.name, &mut in_room(first)), runs)?;
        }
    }
    race_steps(room, programs, &steps, runs)?;
    Ok(ExitCode::SUCCESS)
}

/// Each step with the one before, and the first with a process without a container. All start the same program, if we have
/// one that needs no library, and so runs in every root.
fn race_steps(room: &Path, programs: &Path, steps: &[Step], runs: usize) -> Result<()> {
    let everywhere = room.join(FLOOR).exists();
    let (outside, inside) = if everywhere { ("rootfs/nothing", "/nothing") } else { ("/bin/true", "/bin/true") };
    let mute = |mut command: Command| {
        command.current_dir(room).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut before = (NOTHING.to_owned(), mute(Command::new(room.join(outside))));
    for step in steps {
        let mut command = Command::new(programs.join(&step.name));
        command.arg("run").arg(if step.needs_rootfs() { inside } else { outside });
        let mut this = (step.short().to_owned(), mute(command));
        race((&this.0, &mut this.1), (&before.0, &mut before.1), runs)?;
        before = this;
    }
    Ok(())
}

/// crun refuses to work where cgroups are of both kinds and the second has controllers. It needs neither here, so on this
/// throwaway host, whose mounts are its own, the second is out of sight. (If that fails, crun will say so.)
fn cover_unified_cgroup() {
    let unified = "/sys/fs/cgroup/unified";
    if Path::new(unified).exists() {
        let _ = mount(Some("tmpfs"), unified, Some("tmpfs"), MsFlags::empty(), None::<&str>);
    }
}

/// Does it isolate, and what does it cost in memory? Starts it with a command that waits, and looks at that from outside:
/// what fails at once must not be taken for fast. Whoever takes longer than `limit` to answer, or to end, has failed.
fn look(contender: &Contender, room: &Path, limit: Duration) -> Result<Seen> {
    let before = processes()?;
    let mut command = contender.command(Inside::Look);
    command.current_dir(room).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("execve({:?})", contender.program))?;
    // Read by threads, for a pipe has no time limit.
    let answers = lines_of(child.stdout.take().context("stdout is a pipe")?);
    let errors = lines_of(child.stderr.take().context("stderr is a pipe")?);
    let answer = || answers.recv_timeout(limit).unwrap_or_default();
    let seen = look_inside(contender, room, (answer(), answer()), &before);
    if let Some(mut stdin) = child.stdin.take() {
        // It may have ended already.
        let _ = stdin.write_all(b"\n");
    }
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                child.kill()?;
                child.wait()?;
                bail!("it did not end in {} s", limit.as_secs());
            }
            None => sleep(Duration::from_millis(1)),
        }
    };
    if status.code() != Some(7) {
        let errors: Vec<String> = std::iter::from_fn(|| errors.recv_timeout(Duration::from_secs(1)).ok()).collect();
        bail!("{status} instead of the command's own 7: {}", errors.join("; "));
    }
    seen
}

/// The lines that come out of a pipe.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn look_inside(
    contender: &Contender,
    room: &Path,
    (hostname, numbers): (String, String),
    before: &BTreeSet<u32>,
) -> Result<Seen> {
    ensure!(!numbers.is_empty(), "the command inside did not answer");
    if contender.names {
        ensure!(hostname == "mini-docker", "the hostname inside is {hostname:?}");
    }
    let visible = numbers.split_whitespace().count();
    ensure!(visible <= 3, "the command inside sees {visible} processes in /proc: that is not its own");

    let news: Vec<u32> = processes()?.difference(before).copied().collect();
    let shell: Vec<u8> = Inside::Look.argv().join("\0").into_bytes();
    let is_command = |pid: &&u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(&shell));
    let command = news.iter().find(is_command).context("the command inside is not to be seen from outside")?;
    let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}"));
    let command_pid = command.to_string();
    let is_new = |name: &&str| matches!((link(&command_pid, name), link("self", name)), (Ok(a), Ok(b)) if a != b);
    let namespaces: Vec<&str> = namespaces::KINDS.into_iter().filter(is_new).collect();
    for needed in ["mnt", "pid", "uts"] {
        ensure!(namespaces.contains(&needed), "the command inside has the host's {needed} namespace");
    }
    let place = |path: PathBuf| -> Result<(u64, u64)> {
        let metadata = fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?;
        Ok((metadata.dev(), metadata.ino()))
    };
    ensure!(
        place(format!("/proc/{command}/root").into())? == place(room.join("rootfs"))?,
        "the root of the command inside is not ./rootfs"
    );
    let memory = news.iter().filter(|pid| *pid != command).filter_map(|pid| {
        // VmHWM is of this program alone. The figure of wait4(2) has the memory of whoever started it in it.
        status_kb(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM")
    });
    Ok(Seen { namespaces: namespaces.join(" "), memory: memory.collect() })
}

/// The processes of this host.
fn processes() -> Result<BTreeSet<u32>> {
    let entries = fs::read_dir("/proc").context("reading /proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Runs two commands in turn, each the first of a pair as often as the other, and prints the times. When one fails, that is
/// printed, and the race is over.
fn race(first: (&str, &mut Command), second: (&str, &mut Command), runs: usize) -> Result<()> {
    match pairs(first.1, second.1, runs) {
        Ok(race) => race
            .pairs
            .iter()
            .try_for_each(|&(left, right)| Line::Pair(first.0.to_owned(), second.0.to_owned(), left, right).print()),
        Err((is_first, why)) => {
            Line::Failed(if is_first { first.0 } else { second.0 }.to_owned(), format!("in a timed run: {why}")).print()
        }
    }
}

/// Runs two commands in turn. A failure says whether it was the first's.
///
/// # Errors
/// When one of them can't be started, or does not end with status 0.
pub fn pairs(first: &mut Command, second: &mut Command, runs: usize) -> Result<Race, (bool, String)> {
    let mut first = || time(first).map_err(|why| (true, why));
    let mut second = || time(second).map_err(|why| (false, why));
    for _ in 0..runs.div_ceil(10) {
        first()?;
        second()?;
    }
    let mut race = Race::default();
    for run in 0..runs {
        race.pairs.push(if run % 2 == 0 {
            let left = first()?;
            (left, second()?)
        } else {
            let right = second()?;
            (first()?, right)
        });
    }
    Ok(race)
}

fn time(command: &mut Command) -> Result<Duration, String> {
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("execve({:?}): {error}", command.get_program()))?;
    let elapsed = start.elapsed();
    if status.success() { Ok(elapsed) } else { Err(status.to_string()) }
}

/// The system calls of one run, the command's own included; `None` without strace.
fn count_calls(command: &Command, room: &Path) -> Result<Option<Calls>> {
    let Some(strace) = lab::process::on_path("strace") else { return Ok(None) };
    let table = room.join("strace");
    let mut traced = Command::new(strace);
    traced.args(["-f", "-c", "-o"]).arg(&table).arg(command.get_program()).args(command.get_args());
    traced.current_dir(room).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let succeeded = traced.status()?.success();
    Ok(succeeded.then(|| fs::read_to_string(&table).ok().and_then(|text| strace_table(&text))).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_printed() {
        let seen = Seen { namespaces: "mnt pid uts".into(), memory: vec![2000, 1900] };
        for (text, line) in [
            ("seen\tstep04, static\tmnt pid uts\t2000 1900", Line::Seen("step04, static".into(), seen)),
            ("failed\tcrun\texit status: 1", Line::Failed("crun".into(), "exit status: 1".into())),
            (
                "pair\ta\tb\t2000000\t1500000",
                Line::Pair("a".into(), "b".into(), Duration::from_millis(2), Duration::from_micros(1500)),
            ),
            ("calls\ta\t399\t252", Line::Calls("a".into(), Calls { all: 399, rt_sigaction: 252 })),
        ] {
            assert_eq!(Line::parse(text).unwrap(), line);
        }
        assert!(Line::parse("thread 'main' panicked").is_err());
    }

    #[test]
    fn who_makes_no_container_is_not_timed() {
        for (args, why) in [
            (&["true"][..], "exit status: 0 instead of the command's own 7"),
            (&["sh", "-c", "echo no >&2; exit 3"], "exit status: 3 instead of the command's own 7: no"),
            (&["sh", "-c", "read x; exit 7"], "the command inside did not answer"),
            (&["--"], "processes in /proc: that is not its own"),
            (&["sh", "-c", "echo mini-docker; echo /proc/1; read x; exit 7"], "is not to be seen from outside"),
            (
                &["sh", "-c", "\"$@\" | { read a; read b; echo; echo /proc/1; read end; exit 7; }", "sh"],
                "has the host's mnt namespace",
            ),
        ] {
            // Only one is meant to say nothing.
            let limit = if args.contains(&"read x; exit 7") { Duration::from_secs(1) } else { LIMIT };
            let seen = look(&Contender::pretender("/usr/bin/env", args), Path::new("/"), limit);
            let error = format!("{:#}", seen.unwrap_err());
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_race_has_as_many_pairs_as_asked_for_and_tells_who_failed() {
        let (mut yes, mut no) = (Command::new("true"), Command::new("false"));
        assert_eq!(pairs(&mut yes, &mut Command::new("true"), 3).unwrap().pairs.len(), 3);
        assert_eq!(pairs(&mut yes, &mut no, 3), Err((false, "exit status: 1".into())));
        assert_eq!(pairs(&mut no, &mut yes, 3), Err((true, "exit status: 1".into())));
    }
}
