//! Exercise `reap`: process 1 reaps orphans, and `run` ends with the command.

use super::run::require_status;
use super::*;
use crate::check::probe::told;

/// How many orphans end together.
const TOGETHER: usize = 5;
/// How often a command ends that nothing else waits for, except perhaps a thread that waits for all: the scheduler decides which
/// is first. With two CPUs such a thread is first nine times of ten.
const SHORT_RUNS: i32 = 3;

/// An orphan that ends is reaped while the command runs, and that isn't the end of the container.
pub fn orphans_are_reaped(sandbox: &Sandbox) -> Checked {
    // Not `sleep 4242 &`, which a BusyBox shell doesn't start without a /dev/null: a child kills its parent instead.
    let killed = r#"sh -c "kill -9 \$PPID; exec sleep 4242"; :"#;
    let ended = r#"sh -c "kill -9 \$PPID; sleep 4243; exit 5"; :"#;
    let several = r#"sh -c "kill -9 \$PPID; exec sleep 4244"; :"#;
    let script =
        r#"sh -c "$1"; sh -c "$2"; shift 2; for it; do sh -c "$it"; done; echo ready; read status; exit $status"#;
    let mut line = vec!["sh", "-c", script, "sh", killed, ended];
    line.extend([several; TOGETHER]);
    // On a single one two threads take turns.
    let invocation = Invocation { all_cpus: true, ..Default::default() };
    let mut run = sandbox.start(&invocation, &line)?;
    let command = wait_for(sandbox, &mut run, &line)?;
    // The first is an orphan, which a signal kills. The parent of the second is one, a shell, which then ends by itself.
    let killed = wait_for(sandbox, &mut run, &["sleep", "4242"])?;
    let child = wait_for(sandbox, &mut run, &["sleep", "4243"])?;
    run.wait_until(PATIENCE, |run| Ok(run.stdout().contains("ready")))?;
    for (target, orphan) in [(killed.pid, killed.pid), (child.pid, child.parent)] {
        sandbox.signal(target, Signal::SIGKILL)?;
        let is_reaped = run.wait_until(PATIENCE, |_| Ok(sandbox.host.process(orphan).is_none()))?;
        let (parent, seconds) = (sandbox.host.process(orphan).map_or(0, |it| it.parent), PATIENCE.as_secs());
        let seen = format!("after {seconds} s the orphan {orphan} is still a zombie, a child of {parent}");
        require!(is_reaped, ZombiesKept, "reaped by process 1", "{seen}");
        // A program that takes it for the command needs a moment to end.
        let lives = || sandbox.host.process(command.pid).is_some_and(|it| it.state != 'Z');
        let is_over = run.wait_until(A_MOMENT, |run| Ok(run.status().is_some() || !lives()))?;
        let seen = format!("an orphan ended, and with it the command, process {}, which still waited", command.pid);
        require!(!is_over, EndedWithOrphan, "the command runs until it ends by itself", "{seen}");
    }
    orphans_may_end_together(sandbox, &mut run)?;
    run.type_line(&told().to_string());
    run.end_input();
    require_status(run.wait()?, told(), "after orphans, ", &run.stderr())?;
    for told in (0..SHORT_RUNS).map(|index| 3 + (told() + index) % 120) {
        let mut run = sandbox.start(&invocation, &["sh", "-c", &format!("echo ready; read word; exit {told}")])?;
        // By then everything waits that is going to.
        run.wait_until(PATIENCE, |run| Ok(run.stdout().contains("ready")))?;
        run.end_input();
        require_status(run.wait()?, told, "", &run.stderr())?;
    }
    Ok(())
}

/// Orphans that end while process 1 is stopped are all reaped, although it gets one signal for them.
fn orphans_may_end_together(sandbox: &Sandbox, run: &mut Run<'_>) -> Checked {
    // All have the same parent, the one that takes in orphans, when the processes that started them are gone.
    let mut orphans = Vec::new();
    let complete = run.wait_until(PATIENCE, |_| {
        orphans = sandbox.guests()?;
        orphans.retain(|it| it.has_line(&["sleep", "4244"]));
        Ok(orphans.len() == TOGETHER && orphans.iter().all(|it| it.parent > 1 && it.parent == orphans[0].parent))
    })?;
    let seen = format!("of {TOGETHER} orphans, {} are children of one process", orphans.len());
    require!(complete, NeverRan, "all of them, of process 1", "{seen}");
    let state = |pid| sandbox.host.process(pid).map(|it| it.state);
    let init = orphans[0].parent;
    sandbox.signal(init, Signal::SIGSTOP)?;
    run.wait_until(PATIENCE, |_| Ok(state(init) == Some('T')))?;
    for orphan in &orphans {
        sandbox.signal(orphan.pid, Signal::SIGKILL)?;
    }
    run.wait_until(PATIENCE, |_| Ok(orphans.iter().all(|it| matches!(state(it.pid), Some('Z') | None))))?;
    let is_reaped = run.wait_until(PATIENCE, |_| {
        // Also a process that has stopped itself because process 1 had.
        for stopped in sandbox.guests()?.iter().filter(|it| it.state == 'T') {
            sandbox.signal(stopped.pid, Signal::SIGCONT)?;
        }
        orphans.retain(|it| state(it.pid).is_some());
        Ok(orphans.is_empty())
    })?;
    let (left, seconds) = (orphans.len(), PATIENCE.as_secs());
    let after = format!("{seconds} s after it went on, {left} are still zombies");
    let seen = format!("{TOGETHER} orphans ended while process 1 was stopped; {after}");
    require!(is_reaped, SignalsCounted, "all reaped by process 1", "{seen}");
    Ok(())
}

/// `run` ends with the command, whatever orphans live on.
pub fn living_orphans_are_not_waited_for(sandbox: &Sandbox) -> Checked {
    let orphan = r#"sh -c "kill -9 \$PPID; exec sleep 4242"; :"#;
    let script = r#"sh -c "$1"; read word; exit 3"#;
    let mut run = sandbox.start(&Invocation::default(), &["sh", "-c", script, "sh", orphan])?;
    wait_for(sandbox, &mut run, &["sleep", "4242"])?;
    run.end_input();
    let status = run.poll(PATIENCE, |run| Ok(run.status()))?;
    let seen = match status {
        Some(status) if Stderr::new(&run.stderr()).names(Errno::ECHILD) => {
            run.wait()?;
            return require_status(status, 3, "with an orphan alive, ", &run.stderr());
        }
        Some(status) => format!("the command ended with status 3, and `run` with {}", describe(status)),
        None => format!("{} s after the command `run` still waits, with an orphan alive", PATIENCE.as_secs()),
    };
    let expected = "status 3 at once: what is left ends with process 1";
    require!(status.and_then(|it| it.code()) == Some(3), WaitsForOrphans, expected, "{seen}");
    Ok(())
}
