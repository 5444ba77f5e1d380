//! Signals at random moments: to `run`, to `child`, and to the command.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use lab::procfs::{Pid, Proc};
use lab::steps::{self, Step};
use nix::sys::signal::{Signal, kill};

use super::{CLEAN_UP, PATIENCE, print_some};

/// STOP is followed by CONT some moments later.
const SIGNALS: [Signal; 5] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGSTOP];

/// A run takes about 2 ms to start, and then sleeps for 10 ms if it should survive. The moments cover that time.
const LONGEST_MOMENT: Duration = Duration::from_millis(12);
const START: Duration = Duration::from_millis(4);
const LONGEST_STOP: Duration = Duration::from_millis(3);

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
    let proc = Proc::open(Path::new("/proc"))?;
    let mut random = Rng::with_seed(seed);
    let mut passed = true;
    for step in steps::all()? {
        let targets = [Target::Run, Target::Child, Target::Command];
        for target in &targets[..if step.number == 1 { 1 } else { 3 }] {
            passed &= row(&proc, programs, &step, *target, moments, &mut random)?;
        }
    }
    Ok(passed)
}

/// Sends every signal to one process of one step, and prints the outcome.
fn row(proc: &Proc, programs: &Path, step: &Step, target: Target, moments: u32, random: &mut Rng) -> Result<bool> {
    let log = std::env::temp_dir().join("stderr");
    let (mut late, mut slowest, mut faults) = (0, Duration::ZERO, Vec::new());
    let start = Instant::now();
    for signal in SIGNALS.into_iter().flat_map(|signal| std::iter::repeat_n(signal, moments as usize)) {
        if faults.len() > MOST_FAULTS {
            break;
        }
        let expected = expected(step, target, signal);
        // More goes on at the start.
        let moment = below(if random.bool() { START } else { LONGEST_MOMENT }, random);
        let before = facts(proc)?;
        let stderr = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut run = Command::new(programs.join(&step.name));
        // A command that must die of the signal must not end before it comes.
        let seconds = if expected.iter().any(ExitStatus::success) { "0.01" } else { "1000" };
        run.args(["run", "sleep", seconds]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut run = run.spawn().context("starting a step")?;
        thread::sleep(moment);
        let was_sent = send(proc, &mut run, target, signal, below(LONGEST_STOP, random))?;
        let fault = |what: String| format!("{}, {signal} to {target:?} after {moment:?}: {what}", step.name);
        let mut stuck = String::new();
        let Some(end) = wait(&mut run, PATIENCE, || stuck = states(proc))? else {
            faults.push(fault(format!("it does not end: {stuck}")));
            continue;
        };
        // It had ended by itself before the signal came.
        let is_late = !was_sent && end.success();
        late += u32::from(is_late);
        if !(is_late || was_sent && expected.contains(&end)) {
            faults.push(fault(format!("{end}, not one of {expected:?}")));
        }
        let gone = Instant::now();
        loop {
            let now = facts(proc)?;
            if now == before {
                break;
            }
            if gone.elapsed() > CLEAN_UP {
                faults.push(fault(format!("left behind or missing: {:?}", &now ^ &before)));
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
    let _ = fs::remove_file(&log);
    say!(
        "  {:<20} {:>6} signals to {:<8} in {:>5.1} s, {late} of them after the end; all gone within {:.1} ms",
        step.name,
        moments as usize * SIGNALS.len(),
        format!("{target:?}").to_lowercase(),
        start.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    );
    Ok(print_some(&faults))
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
fn send(proc: &Proc, run: &mut Child, target: Target, signal: Signal, pause: Duration) -> Result<bool> {
    let pid = loop {
        let found = match target {
            Target::Run => Some(run.id()),
            Target::Child => child_of(proc, run.id())?,
            Target::Command => child_of(proc, run.id())?.map(|child| child_of(proc, child)).transpose()?.flatten(),
        };
        if let Some(found) = found {
            break nix::unistd::Pid::from_raw(found as i32);
        }
        if run.try_wait()?.is_some() {
            return Ok(false);
        }
    };
    if kill(pid, signal).is_err() {
        return Ok(false);
    }
    if signal == Signal::SIGSTOP {
        thread::sleep(pause);
        let _ = kill(pid, Signal::SIGCONT);
    }
    Ok(true)
}

/// Waits for a process until the limit. Then it calls `stuck`, kills the process, and returns `None`.
pub fn wait(run: &mut Child, limit: Duration, stuck: impl FnOnce()) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(end) = run.try_wait()? {
            return Ok(Some(end));
        }
        thread::sleep(Duration::from_micros(200));
    }
    stuck();
    run.kill()?;
    run.wait()?;
    Ok(None)
}

/// Returns what a run must leave as it was: the host's processes, mounts and name.
fn facts(proc: &Proc) -> Result<BTreeSet<String>> {
    let read = |name| fs::read_to_string(name).with_context(|| format!("reading {name}"));
    let mut facts: BTreeSet<String> = read("/proc/self/mountinfo")?.lines().map(|it| format!("mount {it}")).collect();
    facts.extend(proc.pids()?.into_iter().map(|pid| format!("process {pid}")));
    facts.insert(format!("hostname {}", read("/proc/sys/kernel/hostname")?));
    Ok(facts)
}

/// Returns the kernel's view of each process of the host, to show why a run does not end.
fn states(proc: &Proc) -> String {
    let mut states = String::new();
    for pid in proc.pids().unwrap_or_default() {
        let read = |name| String::from_utf8_lossy(&proc.read(pid, name).unwrap_or_default()).into_owned();
        let status = read("status");
        let fields = ["Name:", "State:", "PPid:", "SigPnd:", "ShdPnd:", "SigBlk:"];
        let lines = status.lines().filter(|line| fields.iter().any(|field| line.starts_with(field)));
        states += &format!("{pid} {} in {}; ", lines.collect::<Vec<_>>().join(" "), read("wchan"));
    }
    states
}

/// Returns the first child of a process.
fn child_of(proc: &Proc, parent: Pid) -> Result<Option<Pid>> {
    Ok(proc.processes()?.into_iter().find(|process| process.parent == parent).map(|process| process.pid))
}

/// Returns a random time below the limit.
fn below(limit: Duration, random: &mut Rng) -> Duration {
    limit.mul_f64(random.f64())
}
