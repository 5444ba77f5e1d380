//! The part of the bench on a throwaway host: observes each contender's container from outside, then lets them run in turn,
//! and prints the measurements as JSON.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::procfs::{Pid, Proc, id_of};
use lab::{process, steps};
use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use super::contenders::{self, Contender, FLOOR, OBSERVED, TIMED};
use super::statistics::Race;
use crate::soak::wait;

/// How long a contender may take to show its container.
const LIMIT: Duration = Duration::from_secs(20);

/// What the bench tells its part on a throwaway host.
#[derive(clap::Args, Debug)]
pub struct HostOptions {
    /// The bench's directory.
    directory: PathBuf,
    /// The directory of the steps' programs.
    programs: PathBuf,
    runs: u32,
}

/// What was measured on one throwaway host.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Measurements {
    /// By contender.
    pub observations: BTreeMap<String, Observation>,
    /// Why a contender is left out.
    pub failures: BTreeMap<String, String>,
    /// The last step with each peer.
    pub races: BTreeMap<String, Race>,
    /// Each step with the one before, and the first with a process without a container.
    pub steps: BTreeMap<String, Race>,
}

/// What a contender's container costs apart from time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The peak resident size of each process except the command's, in KiB, the parent's first.
    pub memory: Vec<u64>,
    /// The system calls of one run, the command's included. `None` without strace.
    pub calls: Option<u64>,
}

/// Observes all contenders, and runs all races.
///
/// # Errors
/// When something that is built here fails. A peer that fails is left out.
pub fn run(options: &HostOptions) -> Result<ExitCode> {
    let HostOptions { directory, programs, runs } = options;
    show_cgroups_of_one_kind();
    let mut found = Measurements::default();
    let mut contenders = contenders::all(directory, programs)?;
    contenders.retain(|it| it.program.is_file());
    for contender in &contenders {
        match observe(contender, directory, LIMIT) {
            Ok(observation) => drop(found.observations.insert(contender.name.into(), observation)),
            Err(error) if contender.is_built(directory) => return Err(error.context(contender.name)),
            Err(error) => drop(found.failures.insert(contender.name.into(), format!("{error:#}"))),
        }
    }
    contenders.retain(|it| found.observations.contains_key(it.name));
    let (ours, peers) = contenders.split_first().context("there are no contenders")?;
    for peer in peers {
        let [mut first, mut second] = [ours, peer].map(|it| it.command(TIMED, directory));
        match race(&mut first, &mut second, *runs) {
            Ok(race) => drop(found.races.insert(peer.name.into(), race)),
            Err((program, why)) if program == second.get_program() && !peer.is_built(directory) => {
                found.failures.insert(peer.name.into(), why);
            }
            Err((program, why)) => bail!("{}: {why}", program.display()),
        }
    }
    found.steps = race_steps(options)?;
    serde_json::to_writer(io::stdout(), &found)?;
    Ok(ExitCode::SUCCESS)
}

/// Races each step with the one before. All start the same program: one that needs no library, if it could be built, because
/// that runs in every root.
fn race_steps(options: &HostOptions) -> Result<BTreeMap<String, Race>> {
    let HostOptions { directory, programs, runs } = options;
    let (outside, inside) = match directory.join(FLOOR).exists() {
        true => (directory.join("rootfs/nothing"), Path::new("/nothing")),
        false => ("/bin/true".into(), Path::new("/bin/true")),
    };
    let mute = |mut command: Command| {
        command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut races = BTreeMap::new();
    let mut before = mute(Command::new(&outside));
    for step in steps::all()? {
        let mut command = Command::new(programs.join(&step.name));
        command.arg("run").arg(if step.needs_rootfs() { inside } else { &outside });
        let mut this = mute(command);
        let race = race(&mut this, &mut before, *runs);
        races.insert(step.name, race.map_err(|(program, why)| anyhow::anyhow!("{}: {why}", program.display()))?);
        before = this;
    }
    Ok(races)
}

/// Covers the second of two kinds of cgroups, on this throwaway host. crun needs none here, but refuses to work when both
/// have controllers. If this fails, crun reports it.
fn show_cgroups_of_one_kind() {
    let unified = "/sys/fs/cgroup/unified";
    if Path::new(unified).exists() {
        let _ = mount(Some("tmpfs"), unified, Some("tmpfs"), MsFlags::empty(), None::<&str>);
    }
}

/// Starts a contender with a command that waits, and observes from outside that it is in a container of its own. Otherwise a
/// contender that fails at once would pass as fast. One that takes longer than `limit` to answer, or to end, has failed.
fn observe(contender: &Contender, directory: &Path, limit: Duration) -> Result<Observation> {
    let proc = Proc::open(Path::new("/proc"))?;
    let before = proc.pids()?;
    // Files, because a read from a pipe has no time limit.
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| directory.join(name));
    let mut command = contender.command(OBSERVED, directory);
    command.stdin(Stdio::piped()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    let mut child = command.spawn().with_context(|| format!("execve({:?})", contender.program))?;
    let start = Instant::now();
    let answer = loop {
        let has_ended = child.try_wait()?.is_some();
        let answer = fs::read_to_string(&stdout)?;
        if answer.matches('\n').count() == 2 || has_ended || start.elapsed() > limit {
            break answer;
        }
        sleep(Duration::from_millis(1));
    };
    let memory = observe_inside(contender, directory, &proc, &before, &answer);
    drop(child.stdin.take());
    let status = wait(&mut child, limit, || ())?.with_context(|| format!("it did not end in {limit:?}"))?;
    if status.code() != Some(7) {
        let errors = fs::read_to_string(&stderr)?;
        bail!("{status} instead of the command's own 7: {}", errors.lines().collect::<Vec<_>>().join("; "));
    }
    Ok(Observation { memory: memory?, calls: count_calls(&contender.command(TIMED, directory), directory)? })
}

/// Checks the container while its command waits, and returns the peak memory of the processes that made it.
fn observe_inside(
    contender: &Contender,
    directory: &Path,
    proc: &Proc,
    before: &[Pid],
    answer: &str,
) -> Result<Vec<u64>> {
    let (hostname, numbers) = answer.trim_end().split_once('\n').context("the command inside did not answer")?;
    ensure!(hostname == "mini-docker" || !contender.has_hostname(), "the hostname inside is {hostname:?}");
    let visible = numbers.split_whitespace().count();
    ensure!(visible <= 3, "the command inside sees {visible} processes in /proc: that is not its own");

    let mut new = proc.processes()?;
    new.retain(|process| !before.contains(&process.pid));
    let command = new.iter().find(|process| process.has_line(OBSERVED.argv));
    let command = command.context("the command inside is not visible from outside")?.pid;
    for kind in ["mnt", "pid", "uts"] {
        let namespace = format!("ns/{kind}");
        let is_hosts = proc.id(command, &namespace)? == proc.id(std::process::id(), &namespace)?;
        ensure!(!is_hosts, "the command inside has the host's {kind} namespace");
    }
    let is_rootfs = proc.id(command, "root")? == id_of(&directory.join("rootfs"))?;
    ensure!(is_rootfs, "the root of the command inside is not ./rootfs");
    // VmHWM is of this program alone. The figure of wait4(2) includes the memory of the process that started it.
    let peak = |pid| status_kb(&String::from_utf8_lossy(&proc.read(pid, "status").ok()?), "VmHWM");
    Ok(new.iter().filter(|process| process.pid != command).filter_map(|process| peak(process.pid)).collect())
}

/// Reads a line of /proc/PID/status in kB.
fn status_kb(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs two commands in turn, each the first of a pair as often as the other.
///
/// Returns the program that failed, and why, if one of them can't be started or does not end with status 0.
fn race(first: &mut Command, second: &mut Command, runs: u32) -> Result<Race, (PathBuf, String)> {
    for _ in 0..runs.div_ceil(10) {
        time(first)?;
        time(second)?;
    }
    let mut pairs = Vec::new();
    for run in 0..runs {
        pairs.push(if run % 2 == 0 {
            let left = time(first)?;
            (left, time(second)?)
        } else {
            let right = time(second)?;
            (time(first)?, right)
        });
    }
    Ok(Race(pairs))
}

/// Returns the milliseconds of one run.
fn time(command: &mut Command) -> Result<f64, (PathBuf, String)> {
    let start = Instant::now();
    let result = command.status();
    let elapsed = start.elapsed().as_secs_f64() * 1000.0;
    let failure = match result {
        Ok(status) if status.success() => return Ok(elapsed),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err((command.get_program().into(), failure))
}

/// Counts the system calls of one run with strace, if that is installed.
fn count_calls(command: &Command, directory: &Path) -> Result<Option<u64>> {
    let Some(strace) = process::on_path("strace") else { return Ok(None) };
    let table = directory.join("strace");
    let mut traced = Command::new(strace);
    traced.args(["-f", "-c", "-o"]).arg(&table).arg(command.get_program()).args(command.get_args());
    traced.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let succeeded = traced.status()?.success();
    Ok(if succeeded { strace_total(&fs::read_to_string(&table)?) } else { None })
}

/// Adds up the table of `strace -c`: `% time`, `seconds`, `usecs/call`, `calls`, `errors` (or nothing), `syscall`.
fn strace_total(text: &str) -> Option<u64> {
    // Neither the heading nor the sum, in which versions of strace differ.
    let calls = |line: &str| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, _, _, calls, .., name] if *name != "total" => calls.parse::<u64>().ok(),
        _ => None,
    };
    Some(text.lines().filter_map(calls).sum()).filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contender_that_makes_no_container_is_not_timed() {
        let directory = std::env::temp_dir().join(format!("mini-docker-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for (args, why) in [
            (&["true"][..], "exit status: 0 instead of the command's own 7"),
            (&["sh", "-c", "echo no >&2; exit 3"], "exit status: 3 instead of the command's own 7: no"),
            (&["sh", "-c", "read x; exit 7"], "the command inside did not answer"),
            (&["--"], "processes in /proc: that is not its own"),
            (&["sh", "-c", "echo mini-docker; echo /proc/1; read x; exit 7"], "is not visible from outside"),
            (
                &["sh", "-c", "\"$@\" | { read a; read b; echo; echo /proc/1; read end; exit 7; }", "sh"],
                "has the host's mnt namespace",
            ),
        ] {
            // Only one is meant to print nothing.
            let limit = if args.contains(&"read x; exit 7") { Duration::from_secs(1) } else { LIMIT };
            let error = format!("{:#}", observe(&Contender::pretender(args), &directory, limit).unwrap_err());
            assert!(error.contains(why), "{args:?}: {error}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_race_has_as_many_pairs_as_asked_for_and_names_the_program_that_failed() {
        let (mut yes, mut no) = (Command::new("true"), Command::new("false"));
        assert_eq!(race(&mut yes, &mut Command::new("true"), 3).unwrap().0.len(), 3);
        let failure = Err(("false".into(), "exit status: 1".into()));
        assert_eq!(race(&mut yes, &mut no, 3), failure);
        assert_eq!(race(&mut no, &mut yes, 3), failure);
    }

    #[test]
    fn the_table_of_strace_is_added_up() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 59.33    0.000747         373         2           wait4
  4.53    0.000057           0       252           rt_sigaction
  0.32    0.000004           2         2         2 ioctl
------ ----------- ----------- --------- --------- ------------------
100.00    0.001259           4       256         2 total
";
        assert_eq!(strace_total(text), Some(256));
        assert_eq!(strace_total("strace: ptrace(PTRACE_TRACEME): EPERM\n"), None);
    }

    #[test]
    fn the_peak_of_memory_is_in_the_status() {
        let status = "Name:\tsh\nVmPeak:\t    9000 kB\nVmHWM:\t    2044 kB\nVmRSS:\t 12 kB\n";
        assert_eq!(status_kb(status, "VmHWM"), Some(2044));
        // Of a kernel thread or a zombie.
        assert_eq!(status_kb("Name:\tsh\nThreads:\t1\n", "VmHWM"), None);
    }
}
