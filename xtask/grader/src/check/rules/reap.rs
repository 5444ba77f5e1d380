//! Exercise `reap`: process 1 reaps orphans, and `run` ends with the command.

use std::time::Instant;

use super::run::require_status;
use super::*;

/// How often to run a short command. A thread that waits for any child may take its status first, as the scheduler decides;
/// with two CPUs it does so nine times out of ten.
const SHORT_RUNS: usize = 3;
/// How often a process may wake up in a fifth of a second while nothing happens.
const MOST_NAPS: u64 = 3;
/// How soon an orphan must be reaped, without waiting for process 1 to poll again.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Returns a script whose process becomes an orphan and then executes `command`. A child kills its parent, because a BusyBox
/// shell doesn't start `command &` without a /dev/null.
fn orphan(command: &str) -> String {
    format!(r#"sh -c "kill -9 \$PPID; {command}"; :"#)
}

/// An orphan that ends is reaped while the command runs, and the container goes on.
pub fn orphans_are_reaped(sandbox: &Sandbox) -> Checked {
    let draw = &sandbox.draw;
    let [ended, several] = [(); 2].map(|()| draw.long_time());
    let alone: Vec<String> = (0..draw.number(3, 5)).map(|_| draw.long_time()).collect();
    let (ready, status, one) = (draw.word(), draw.word(), draw.word());
    let script = format!(
        r#"sh -c "$1"; shift; for {one}; do sh -c "${one}"; done; echo {ready}; read {status}; exit ${status}"#
    );
    let together = draw.number(5, 9) as usize;
    let mut words = vec!["sh".to_owned(), "-c".into(), script, draw.word()];
    words.push(orphan(&format!("sleep {ended}; exit 5")));
    // An orphan may be in a session of its own.
    let setsid = ["bin/setsid", "usr/bin/setsid"].iter().any(|it| sandbox.directory.join("rootfs").join(it).exists());
    let prefixes = ["", if setsid { "setsid " } else { "" }];
    words.extend(
        alone.iter().zip(prefixes.iter().cycle()).map(|(time, prefix)| orphan(&format!("exec {prefix}sleep {time}"))),
    );
    words.extend(vec![orphan(&format!("exec sleep {several}")); together]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // On a single CPU, two threads take turns.
    let invocation = Invocation { all_cpus: true, ..Default::default() };
    let mut run = sandbox.start(&invocation, &words)?;
    let command = wait_for_command(sandbox, &mut run, &words)?;
    // The parent of this process is an orphan, a shell, which then ends by itself. A signal kills the other orphans.
    let child = wait_for(sandbox, &mut run, &["sleep", &ended])?;
    let mut orphans = vec![(child.pid, child.parent)];
    for time in &alone {
        let orphan = wait_for(sandbox, &mut run, &["sleep", time])?.pid;
        orphans.push((orphan, orphan));
    }
    run.wait_until(PATIENCE, |run| Ok(run.stdout().contains(&ready)))?;
    draw.shuffle(&mut orphans);
    for (target, orphan) in orphans {
        sandbox.signal(target, Signal::SIGKILL)?;
        run.wait_until(PATIENCE, |_| Ok(sandbox.host.process(orphan).is_none_or(|it| it.state == 'Z')))?;
        let is_reaped = run.wait_until(AT_ONCE, |_| Ok(sandbox.host.process(orphan).is_none()))?;
        let (parent, time) = (sandbox.host.process(orphan).map_or(0, |it| it.parent), AT_ONCE.as_millis());
        let seen = format!("after {time} ms, orphan {orphan} is still a zombie, a child of process {parent}");
        require!(is_reaped, ZombiesKept, "reaped at once by process 1", "{seen}");
        let lives = || sandbox.host.process(command.pid).is_some_and(|it| it.state != 'Z');
        // A program that mistakes it for the command needs a moment to end.
        let is_over = run.wait_until(A_MOMENT / 4, |run| Ok(run.status().is_some() || !lives()))?;
        let seen =
            format!("when an orphan ended, so did the command, process {}, which was still waiting", command.pid);
        require!(!is_over, EndedWithOrphan, "the command running until it ends by itself", "{seen}");
    }
    // On a busy machine, waiting for a CPU once may take up the whole time.
    it_sleeps_meanwhile(sandbox, &mut run).or_else(|_| it_sleeps_meanwhile(sandbox, &mut run))?;
    orphans_may_end_together(sandbox, &mut run, &several, together)?;
    let told = draw.status();
    run.type_line(&told.to_string());
    run.end_input();
    require_status(run.wait()?, told, "after orphans ended, ", &run.stderr())?;
    for told in [(); SHORT_RUNS].map(|()| draw.status()) {
        let mut run = sandbox.start(&invocation, &["sh", "-c", &format!("echo {ready}; read {one}; exit {told}")])?;
        // By then, everything that waits is waiting.
        run.wait_until(PATIENCE, |run| Ok(run.stdout().contains(&ready)))?;
        run.end_input();
        require_status(run.wait()?, told, "", &run.stderr())?;
    }
    Ok(())
}

/// While everything waits, no process is busy.
fn it_sleeps_meanwhile(sandbox: &Sandbox, run: &mut Run<'_>) -> Checked {
    let used = |process: &Process| {
        // The time on a CPU and the time of waiting for one, in nanoseconds: the kernel's sched-stats.rst. On a busy machine a
        // process that never sleeps mostly waits.
        let text = sandbox.host.read(process.pid, "schedstat").ok()?;
        let times = String::from_utf8_lossy(&text).split(' ').take(2).map(str::parse).collect::<Result<Vec<u64>, _>>();
        Some(Duration::from_nanos(times.ok()?.iter().sum()))
    };
    // How often it went to sleep by itself.
    let slept =
        |process: &Process| sandbox.host.status(process.pid).ok()?.numbers::<u64>("voluntary_ctxt_switches").pop();
    let guests = sandbox.guests()?;
    let before: Vec<_> = guests.iter().map(|it| (used(it), slept(it))).collect();
    let start = Instant::now();
    run.wait_until(2 * A_MOMENT, |run| Ok(run.status().is_some()))?;
    let time = start.elapsed();
    for (process, (before, slept_before)) in guests.iter().zip(before) {
        let count = slept(process).zip(slept_before).map_or(0, |(now, before)| now.saturating_sub(before));
        let seen = format!("`{}` woke up {count} times in {time:.0?} while everything waited", process.line());
        require!(count < MOST_NAPS, BusyWaiting, "process 1 asleep until a child ends", "{seen}");
        let busy = used(process).zip(before).map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        let seen = format!("`{}` was awake for {busy:.0?} of {time:.0?} while everything waited", process.line());
        require!(busy * 2 < time, BusyWaiting, "process 1 asleep until a child ends", "{seen}");
    }
    Ok(())
}

/// Orphans that end while process 1 is stopped are all reaped, although it gets one signal for them.
fn orphans_may_end_together(sandbox: &Sandbox, run: &mut Run<'_>, time: &str, together: usize) -> Checked {
    // Once the processes that started them are gone, all have the same parent, which adopts orphans.
    let mut orphans = Vec::new();
    let complete = run.wait_until(PATIENCE, |_| {
        orphans = sandbox.guests()?;
        orphans.retain(|it| it.has_line(&["sleep", time]));
        Ok(orphans.len() == together && orphans.iter().all(|it| it.parent > 1 && it.parent == orphans[0].parent))
    })?;
    let seen = format!("of {together} orphans, {} are children of one process", orphans.len());
    require!(complete, NeverRan, "all of them children of process 1", "{seen}");
    let state = |pid| sandbox.host.process(pid).map(|it| it.state);
    let init = orphans[0].parent;
    sandbox.signal(init, Signal::SIGSTOP)?;
    run.wait_until(PATIENCE, |_| Ok(state(init) == Some('T')))?;
    for orphan in &orphans {
        sandbox.signal(orphan.pid, Signal::SIGKILL)?;
    }
    run.wait_until(PATIENCE, |_| Ok(orphans.iter().all(|it| matches!(state(it.pid), Some('Z') | None))))?;
    let is_reaped = run.wait_until(PATIENCE, |_| {
        // Including a process that has stopped itself because process 1 had stopped.
        for stopped in sandbox.guests()?.iter().filter(|it| it.state == 'T') {
            sandbox.signal(stopped.pid, Signal::SIGCONT)?;
        }
        orphans.retain(|it| state(it.pid).is_some());
        Ok(orphans.is_empty())
    })?;
    let (left, seconds) = (orphans.len(), PATIENCE.as_secs());
    let after = format!("{seconds} s after it continued, {left} are still zombies");
    let seen = format!("{together} orphans ended while process 1 was stopped; {after}");
    require!(is_reaped, SignalsCounted, "all reaped by process 1", "{seen}");
    Ok(())
}

/// `run` ends when the command does, even if orphans are alive.
pub fn living_orphans_are_not_waited_for(sandbox: &Sandbox) -> Checked {
    let (time, told, word) = (sandbox.draw.long_time(), sandbox.draw.status(), sandbox.draw.word());
    let script = format!(r#"sh -c "$1"; read {word}; exit {told}"#);
    let words = ["sh", "-c", &script, &word, &orphan(&format!("exec sleep {time}"))];
    let mut run = sandbox.start(&Invocation::default(), &words)?;
    wait_for(sandbox, &mut run, &["sleep", &time])?;
    run.end_input();
    let status = run.poll(PATIENCE, |run| Ok(run.status()))?;
    let seen = match status {
        Some(status) if Stderr::new(&run.stderr()).names(Errno::ECHILD) => {
            run.wait()?;
            return require_status(status, told, "with an orphan alive, ", &run.stderr());
        }
        Some(status) => format!("the command ended with status {told}, but `run` ended with {}", describe(status)),
        None => {
            format!("{} s after the command ended, `run` is still waiting, with an orphan alive", PATIENCE.as_secs())
        }
    };
    let expected = format!("status {told} at once, because orphans end with process 1");
    require!(status.and_then(|it| it.code()) == Some(told.into()), WaitsForOrphans, expected, "{seen}");
    Ok(())
}
