//! The part of the bench that runs on a throwaway host. It observes each contender's container from outside, then runs the
//! contenders in turn, and prints the measurements as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::process::on_path;
use lab::procfs::{Pid, Proc, id_of};
use lab::steps;
use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use super::contenders::{self, Contender, FLOOR, OBSERVED, TIMED, muted};
use crate::soak::wait;

/// How long a contender may take to show its container.
const LIMIT: Duration = Duration::from_secs(20);

/// The options of the part of the bench that runs on a throwaway host.
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
    /// The last step with each contender, itself included.
    pub peers: Vec<Race>,
    /// Each step with the one before, the first with no container.
    pub steps: Vec<Race>,
    /// The OCI runtime of step 4 with each other one.
    pub runtimes: Vec<Race>,
    /// The reason for each contender that is left out.
    pub failures: BTreeMap<String, String>,
}

/// Two programs that ran in turn.
#[derive(Debug, Serialize, Deserialize)]
pub struct Race {
    pub first: String,
    pub second: String,
    /// The milliseconds of both, for each pair of runs.
    pub pairs: Vec<(f64, f64)>,
    /// The peak resident size of each process of the second except the command's, in KiB, the parent's first.
    pub memory: Vec<u64>,
}

impl Race {
    /// Returns the ratio of the first program's time to the second's.
    pub fn ratio(&self) -> Quartiles {
        Quartiles::of(self.pairs.iter().map(|(first, second)| first / second))
    }

    /// Returns the milliseconds of the second program.
    pub fn milliseconds(&self) -> Quartiles {
        Quartiles::of(self.pairs.iter().map(|(_, second)| *second))
    }
}

/// The median of some values, and their quartiles.
#[derive(Debug, Clone, Copy)]
pub struct Quartiles {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Quartiles {
    /// Computes them, with straight lines between neighbours.
    fn of(values: impl Iterator<Item = f64>) -> Quartiles {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Quartiles { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.low, self.high)
    }
}

/// Observes all contenders, and runs all races.
///
/// # Errors
/// When something that is built here fails. A peer that fails is left out.
pub fn run(options: &HostOptions) -> Result<ExitCode> {
    let HostOptions { directory, programs, runs } = options;
    // Cover the second of two kinds of cgroups. crun needs none here, but refuses to work when both have controllers. If this
    // fails, because there is only one kind or for another reason, crun reports it.
    let _ = mount(Some("tmpfs"), "/sys/fs/cgroup/unified", Some("tmpfs"), MsFlags::empty(), None::<&str>);
    let mut found = Measurements::default();
    let mut contenders = contenders::all(directory, programs)?;
    contenders.retain(|it| it.program.is_file());
    let ours = contenders[0].clone();
    for peer in contenders {
        eprintln!("bench: {} / {}", ours.name, peer.name);
        let [mut first, mut second] = [&ours, &peer].map(|it| it.command(TIMED, directory));
        let memory = observe(&peer, directory, LIMIT);
        match memory.and_then(|memory| Ok((memory, race(&mut first, &mut second, *runs)?))) {
            Ok((memory, pairs)) => {
                found.peers.push(Race { first: ours.name.clone(), second: peer.name, pairs, memory });
            }
            Err(error) if peer.is_built(directory) => return Err(error.context(peer.name)),
            Err(error) => drop(found.failures.insert(peer.name, format!("{error:#}"))),
        }
    }
    // All steps start the same program: one that needs no library, if it could be built, because that runs in every root.
    let (outside, inside) = match directory.join(FLOOR).exists() {
        true => (directory.join("rootfs/nothing"), Path::new("/nothing")),
        false => ("/bin/true".into(), Path::new("/bin/true")),
    };
    let mut before = ("no container".to_owned(), muted(Command::new(&outside), directory));
    for step in steps::all()? {
        let mut command = muted(Command::new(programs.join(&step.name)), directory);
        command.arg("run").arg(if step.needs_rootfs() { inside } else { &outside });
        let pairs = race(&mut command, &mut before.1, *runs)?;
        found.steps.push(Race { first: step.short().to_owned(), second: before.0, pairs, memory: Vec::new() });
        before = (step.short().to_owned(), command);
    }
    let mut ours = contenders::lifecycle(&programs.join("examples/oci"), "", directory);
    // Ours must work. A peer may not.
    time(&mut ours).context("oci create, start, delete")?;
    for (name, options) in [("crun", "--cgroup-manager=disabled"), ("runc", "")] {
        let Some(program) = on_path(name) else { continue };
        eprintln!("bench: oci / {name}, create, start and delete");
        match race(&mut ours, &mut contenders::lifecycle(&program, options, directory), *runs) {
            Ok(pairs) => {
                found.runtimes.push(Race { first: "oci".into(), second: name.to_owned(), pairs, memory: Vec::new() });
            }
            Err(error) => drop(found.failures.insert(format!("{name} as a runtime"), format!("{error:#}"))),
        }
    }
    serde_json::to_writer(io::stdout(), &found)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a contender with a command that waits, and observes from outside that it is in a container of its own. Otherwise a
/// contender that fails at once would pass as fast. One that takes longer than `limit` to answer, or to end, has failed.
fn observe(contender: &Contender, directory: &Path, limit: Duration) -> Result<Vec<u64>> {
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
    memory
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
    // unshare(1) can't name its container.
    ensure!(hostname == "mini-docker" || contender.name == "unshare", "the hostname inside is {hostname:?}");
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
    let peak = |pid| proc.status(pid).ok()?.numbers("VmHWM").pop();
    Ok(new.iter().filter(|process| process.pid != command).filter_map(|process| peak(process.pid)).collect())
}

/// Runs two commands in turn, each the first of a pair as often as the other, after a warm-up. Returns the milliseconds.
fn race(first: &mut Command, second: &mut Command, runs: u32) -> Result<Vec<(f64, f64)>> {
    let warm_up = runs.div_ceil(10);
    let pair = |run| match run % 2 {
        0 => Ok((time(first)?, time(second)?)),
        _ => time(second).and_then(|second| Ok((time(first)?, second))),
    };
    let mut pairs = (0..warm_up + runs).map(pair).collect::<Result<Vec<_>>>()?;
    Ok(pairs.split_off(warm_up as usize))
}

/// Returns the milliseconds of one run.
fn time(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.status().with_context(|| format!("execve({:?})", command.get_program()))?;
    let elapsed = start.elapsed();
    ensure!(status.success(), "{:?}: {status}", command.get_program());
    Ok(elapsed.as_secs_f64() * 1000.0)
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
        assert_eq!(race(&mut yes, &mut Command::new("true"), 3).unwrap().len(), 3);
        for result in [race(&mut yes, &mut no, 3), race(&mut no, &mut yes, 3)] {
            assert_eq!(result.unwrap_err().to_string(), "\"false\": exit status: 1");
        }
    }

    #[test]
    fn the_median_and_the_quartiles_whatever_the_order() {
        let of = |values: &[f64]| Quartiles::of(values.iter().copied()).to_string();
        assert_eq!(of(&[5.0, 1.0, 4.0, 2.0, 3.0]), "3.00 (2.00–4.00)");
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), "2.50 (1.75–3.25)");
        assert_eq!(of(&[7.0]), "7.00 (7.00–7.00)");
    }

    #[test]
    fn a_ratio_is_taken_pair_by_pair() {
        // A machine that became three times as slow in between: each pair says 2, and the medians of the sides would not.
        let pairs = vec![(2.0, 1.0), (6.0, 3.0), (6.0, 3.0), (2.0, 1.0), (20.0, 10.0)];
        let race = Race { first: String::new(), second: String::new(), pairs, memory: Vec::new() };
        assert_eq!(race.ratio().to_string(), "2.00 (2.00–2.00)");
        assert_eq!(race.milliseconds().to_string(), "3.00 (1.00–3.00)");
    }
}
