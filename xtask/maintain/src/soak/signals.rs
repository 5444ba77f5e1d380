//! Signals at random moments: to `run`, to `child`, and to the command.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CLEAN_UP, PATIENCE, print_some};
use crate::steps::{self, Step};

/// STOP is followed by CONT some moments later.
const SIGNALS: [Signal; 5] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGSTOP];

/// A run takes some 3 ms to start, and then sleeps for 10 if it is to survive. The moments cover that, and a little more.
const LONGEST_MOMENT: Duration = Duration::from_millis(14);
const START: Duration = Duration::from_millis(4);
const LONGEST_STOP: Duration = Duration::from_millis(3);

/// The number of signals at each moment: five to the one process of step 1, and to each of the three of steps 2 to 4.
pub(super) const ROWS: u32 = 50;

/// A row stops after this many faults, because each may have taken seconds.
const MOST_FAULTS: usize = 10;

/// The processes of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// On the host. In step 1 it becomes the command.
    Run,
    /// From step 2 on: process 1 of the container.
    Child,
    /// From step 2 on: process 2 of the container.
    Command,
}

/// Sends every signal to every process of every step, `moments` times each. Returns true if no run was at fault.
pub(super) fn all(programs: &Path, moments: u32, seed: u64) -> Result<bool> {
    let mut random = Random(seed);
    let mut passed = true;
    for step in steps::all()? {
        let targets = [Target::Run, Target::Child, Target::Command];
        for target in &targets[..if step.number == 1 { 1 } else { 3 }] {
            passed &= row(programs, &step, *target, moments, &mut random)?;
        }
    }
    Ok(passed)
}

/// Sends every signal to one process of one step, and prints the outcome.
fn row(programs: &Path, step: &Step, target: Target, moments: u32, random: &mut Random) -> Result<bool> {
    let log = std::env::temp_dir().join("stderr");
    let (mut late, mut slowest, mut faults) = (0, Duration::ZERO, Vec::new());
    let start = Instant::now();
    for signal in SIGNALS {
        let expected = expected(step, target, signal);
        for _ in 0..moments {
            if faults.len() > MOST_FAULTS {
                break;
            }
            // More goes on at the start.
            let latest = if random.next().is_multiple_of(2) { START } else { LONGEST_MOMENT };
            let moment = random.below(latest);
            let before = Host::snapshot()?;
            let stderr = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
            let mut run = Command::new(programs.join(&step.name));
            // A command that must die of the signal must not end before it comes.
            let seconds = if expected.iter().any(ExitStatus::success) { "0.01" } else { "1000" };
            run.args(["run", "sleep", seconds]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
            let mut run = run.spawn().context("starting a step")?;
            thread::sleep(moment);
            let was_sent = send(&mut run, target, signal, random)?;
            let end = wait(&mut run)?;
            let fault = |what: String| format!("{}, {signal} to {target:?} after {moment:?}: {what}", step.name);
            let Some(end) = end else {
                faults.push(fault(format!("it does not end: {}", states()?)));
                let _ = run.kill();
                let _ = run.wait();
                continue;
            };
            let is_as_expected = was_sent && expected.contains(&end);
            // It had ended by itself before the signal came.
            let is_late = !was_sent && end.success();
            if !is_as_expected && !is_late {
                faults.push(fault(format!("{end}, not one of {expected:?}")));
            }
            late += u32::from(is_late);

            let gone = Instant::now();
            while Host::snapshot()? != before {
                if gone.elapsed() > CLEAN_UP {
                    faults.push(fault(format!("left behind: {}", Host::snapshot()?.difference(&before))));
                    break;
                }
                thread::sleep(Duration::from_micros(200));
            }
            slowest = slowest.max(gone.elapsed());
            // A `child` that starts just as `run` dies may report that it wasn't started by `run`.
            let text = fs::read_to_string(&log)?;
            if text.lines().count() > usize::from(target == Target::Run && end.signal().is_some()) {
                faults.push(fault(format!("on stderr: {text:?}")));
            }
        }
    }
    let _ = fs::remove_file(&log);
    say!(
        "  {:<20} {:>6} signals to {:<8} in {:>5.1} s, {late} of them after the end; all gone within {:.1} ms",
        step.name,
        moments as usize * SIGNALS.len(),
        format!("{target:?}").to_lowercase(),
        start.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    );
    print_some(&faults);
    Ok(faults.is_empty())
}

/// Returns the ways in which `run` may end.
fn expected(step: &Step, target: Target, signal: Signal) -> Vec<ExitStatus> {
    let with_code = |code: i32| ExitStatus::from_raw(code << 8);
    let by_signal = ExitStatus::from_raw(signal as i32);
    match (target, signal) {
        (_, Signal::SIGSTOP) => vec![with_code(0)],
        // From step 2 on, `run` blocks INT as soon as it has started `child`.
        (Target::Run, Signal::SIGINT) if step.number > 1 => vec![by_signal, with_code(0)],
        (Target::Run, _) => vec![by_signal],
        (Target::Child | Target::Command, Signal::SIGKILL) | (Target::Command, _) => {
            vec![with_code(128 + signal as i32)]
        }
        // From outside, process 1 obeys only KILL and STOP, unless it has a handler: pid_namespaces(7).
        (Target::Child, _) => vec![with_code(0)],
    }
}

/// Sends the signal as soon as the target exists. Returns false if `run` ended before.
fn send(run: &mut Child, target: Target, signal: Signal, random: &mut Random) -> Result<bool> {
    let pid = loop {
        let found = match target {
            Target::Run => Some(run.id()),
            Target::Child => child_of(run.id())?,
            Target::Command => child_of(run.id())?.map(child_of).transpose()?.flatten(),
        };
        if let Some(found) = found {
            break Pid::from_raw(found as i32);
        }
        if run.try_wait()?.is_some() {
            return Ok(false);
        }
    };
    if kill(pid, signal).is_err() {
        return Ok(false);
    }
    if signal == Signal::SIGSTOP {
        thread::sleep(random.below(LONGEST_STOP));
        let _ = kill(pid, Signal::SIGCONT);
    }
    Ok(true)
}

fn wait(run: &mut Child) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let end = run.try_wait()?;
        if end.is_some() || start.elapsed() > PATIENCE {
            return Ok(end);
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// What a run must leave as it was.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    pids: Vec<u32>,
    mounts: String,
    hostname: String,
}

impl Host {
    fn snapshot() -> Result<Host> {
        let mut pids: Vec<u32> = pids()?.collect();
        pids.sort_unstable();
        let read = |name| fs::read_to_string(name).with_context(|| format!("reading {name}"));
        Ok(Host { pids, mounts: read("/proc/self/mountinfo")?, hostname: read("/proc/sys/kernel/hostname")? })
    }

    fn difference(&self, before: &Host) -> String {
        let mut differences = Vec::new();
        if self.pids != before.pids {
            differences.push(format!("processes {:?}, before {:?}", self.pids, before.pids));
        }
        let new = |line: &&str| !before.mounts.lines().any(|it| it == *line);
        differences.extend(self.mounts.lines().filter(new).map(|line| format!("mount {line}")));
        if self.hostname != before.hostname {
            differences.push(format!("hostname {}", self.hostname.trim()));
        }
        differences.join("; ")
    }
}

/// Returns the kernel's view of each process of the host, to show why a run does not end.
fn states() -> Result<String> {
    let mut states = Vec::new();
    for pid in pids()? {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line =
            |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace('\t', " ");
        let names = ["Name:", "State:", "PPid:", "SigPnd:", "ShdPnd:", "SigBlk:"].map(line);
        let wchan = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        states.push(format!("{pid} {} in {wchan}", names.join(" ")));
    }
    Ok(states.join("; "))
}

fn pids() -> Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").context("reading /proc")?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// Returns the first child of a process.
fn child_of(parent: u32) -> Result<Option<u32>> {
    let is_child = |pid: &u32| {
        // The state and the parent follow the name, which may hold anything: proc_pid_stat(5).
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&parent.to_string()))
    };
    Ok(pids()?.find(is_child))
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.next() % limit.as_nanos() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_moments() {
        // The first numbers that the authors' program gives for this seed.
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        assert!((0..1000).all(|_| random.below(LONGEST_MOMENT) < LONGEST_MOMENT));
    }
}
