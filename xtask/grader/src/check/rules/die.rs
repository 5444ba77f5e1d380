//! Exercise `die`: killing `run` ends the container.

use super::*;

pub fn a_killed_run_leaves_nothing(sandbox: &Sandbox) -> Checked {
    // The command may ignore SIGTERM, because the signal is for `run`.
    let mut kills = [(Signal::SIGKILL, ""), (Signal::SIGTERM, ""), (Signal::SIGTERM, "trap '' TERM; ")];
    sandbox.draw.shuffle(&mut kills);
    for (signal, trap) in kills {
        let Err(error) = kill_run(sandbox, signal, trap, &[]) else { continue };
        for left in sandbox.guests()? {
            sandbox.signal(left.pid, Signal::SIGKILL)?;
        }
        // A program that solves the exercise `stop` first gives the command time to end.
        if trap.is_empty() || kill_run(sandbox, signal, trap, &STOP_SOON).is_err() {
            return Err(error);
        }
    }
    Ok(())
}

/// The flag of the exercise `stop`.
const STOP_SOON: [&str; 2] = ["--stop-timeout", "1"];

fn kill_run(sandbox: &Sandbox, signal: Signal, trap: &str, flags: &[&str]) -> Checked {
    let time = sandbox.draw.long_time();
    let script = format!("{trap}sleep {time}; :");
    let words = ["sh", "-c", &script];
    let mut run = sandbox.start(&Invocation { flags, ..Default::default() }, &words)?;
    wait_for(sandbox, &mut run, &["sleep", &time])?;
    wait_for_command(sandbox, &mut run, &words)?;
    let program = run.pid()?;
    sandbox.signal(program, signal)?;
    if !flags.is_empty() {
        run.wait_until(PATIENCE, |run| Ok(run.status().is_some()))?;
    }
    let left = run.left_behind()?;
    let is_there = left.iter().any(|it| it.pid == program);
    let seen = format!("after {signal}, `run` itself, process {program}, is still running");
    require!(!is_there, TermIgnored, "the end of `run` and of the container", "{seen}");
    if let Some(orphan) = left.first() {
        let seen = format!("after {signal} to `run`, process {} is still there: {}", orphan.pid, orphan.line());
        return Err(fail!(OrphansLeft, "no process left", "{seen}"));
    }
    run.wait()?;
    Ok(())
}
