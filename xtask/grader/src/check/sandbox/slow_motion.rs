//! Lets a program start its command in slow motion: `run` and process 1 of the container are stopped most of the time, while
//! the processes that they start keep running. So anything they do after starting the command comes much too late, and shows.
//!
//! The program has the CPU that this process has, and the least priority: it runs only while this process sleeps, also on a busy
//! machine.

use std::thread::sleep;

use lab::procfs::Process;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_timerslack;
use nix::sys::signal::killpg;
use nix::unistd::Pid as OuterPid;

use super::run::Run;
use super::*;
use crate::check::verdict::Checked;

const OUR_OWN: OuterPid = OuterPid::from_raw(0);

/// How long they run at a time, which is about what a fork takes: so a process that has forked mostly stops before it does
/// anything else. With shorter steps nothing goes on at all.
const STEP: Duration = Duration::from_micros(60);
/// How long they are stopped after another process has started, so that it can execute the command.
const PAUSE: Duration = Duration::from_millis(8);
/// How long slow motion may last. After that they run as usual.
const LONGEST: Duration = Duration::from_millis(1500);

/// How often to look whether one of them has become the command. Looking at each step would make the steps longer for the program.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// A process, by its numbers on the throwaway host and outside.
type Both = (Pid, OuterPid);

/// A program in slow motion.
#[derive(Debug)]
pub struct Slowed {
    group: OuterPid,
    /// `run`, and process 1 if it is there.
    stopped: Vec<Both>,
}

impl Slowed {
    /// Lets everything in the program's group run as usual.
    pub fn end(&self) {
        let _ = killpg(self.group, Signal::SIGCONT);
        go_on(&self.stopped);
    }
}

/// Lets processes run.
fn go_on(processes: &[Both]) {
    for (_, outer) in processes {
        // A process that has ended needs no signal.
        let _ = kill(*outer, Signal::SIGCONT);
    }
}

impl Run<'_> {
    /// Lets a program that was started stopped go on slowly, until the command is there. Then it is stopped, except for a process
    /// that has become the command.
    pub fn slow_down(&mut self, is_command: impl Fn(&Process) -> bool) -> Checked<Slowed> {
        let all_cpus = sched_getaffinity(OUR_OWN)?;
        let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| all_cpus.is_set(*cpu) == Ok(true)).collect();
        let mut one_cpu = CpuSet::new();
        one_cpu.set(self.sandbox.draw.pick(&cpus))?;
        sched_setaffinity(OUR_OWN, &one_cpu)?;
        sched_setaffinity(self.outer_pid(), &one_cpu)?;
        set_timerslack(1)?;
        let slowed = self.go_slowly(is_command);
        set_timerslack(0)?;
        sched_setaffinity(OUR_OWN, &all_cpus)?;
        slowed
    }

    fn go_slowly(&mut self, is_command: impl Fn(&Process) -> bool) -> Checked<Slowed> {
        let sandbox = self.sandbox;
        let is_command = |(pid, _): &Both| sandbox.host.process(*pid).is_some_and(|it| is_command(&it));
        let mut known = sandbox.host.pids()?;
        let (pid, outer) = (self.pid()?, self.outer_pid());
        known.push(pid);
        let mut slowed = Slowed { group: outer, stopped: vec![(pid, outer)] };
        // The program's other processes.
        let mut others: Vec<Both> = Vec::new();
        let start = Instant::now();
        let mut looked = start;
        while start.elapsed() < LONGEST && self.status().is_none() {
            go_on(&slowed.stopped);
            sleep(STEP);
            // The complete group, so that a new process gets no time of its own.
            let _ = killpg(slowed.group, Signal::SIGSTOP);
            let born: Vec<Pid> = sandbox.host.pids()?.into_iter().filter(|pid| !known.contains(pid)).collect();
            for pid in &born {
                known.push(*pid);
                let (Some(process), Ok(outer)) = (sandbox.host.process(*pid), sandbox.outer_pid(*pid)) else {
                    continue;
                };
                let is_first = process.numbers.len() > 1 && process.inner_pid() == 1;
                if is_first { &mut slowed.stopped } else { &mut others }.push((*pid, outer));
            }
            go_on(&others);
            if looked.elapsed() > BETWEEN_LOOKS {
                looked = Instant::now();
                if let Some(at) = slowed.stopped.iter().position(is_command) {
                    go_on(&[slowed.stopped.remove(at)]);
                    return Ok(slowed);
                }
            }
            let pause = Instant::now();
            while !others.is_empty() {
                if others.iter().any(is_command) {
                    return Ok(slowed);
                }
                if born.is_empty() || pause.elapsed() > PAUSE {
                    break;
                }
                sleep(PAUSE / 40);
            }
            self.listen()?;
        }
        slowed.end();
        Ok(slowed)
    }
}
