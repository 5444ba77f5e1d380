//! Exercise `die`: killing `run` ends the container.

use super::*;

pub fn a_killed_run_leaves_nothing(sandbox: &Sandbox) -> Checked {
    // The command may ignore SIGTERM: it isn't what ends by it.
    let mut kills = [(Signal::SIGKILL, ""), (Signal::SIGTERM, ""), (Signal::SIGTERM, "trap '' TERM; ")];
    sandbox.draw.shuffle(&mut kills);
    for (signal, trap) in kills {
        let time = sandbox.draw.long_time();
        let script = format!("{trap}sleep {time}; :");
        let words = ["sh", "-c", &script];
        let mut run = sandbox.start(&Invocation::default(), &words)?;
        wait_for(sandbox, &mut run, &["sleep", &time])?;
        wait_for_command(sandbox, &mut run, &words)?;
        let program = run.pid()?;
        sandbox.signal(program, signal)?;
        let left = run.left_behind()?;
        let is_there = left.iter().any(|it| it.pid == program);
        let seen = format!("after {signal}, `run` itself, process {program}, is still there");
        require!(!is_there, TermIgnored, "it ends, and with it the container", "{seen}");
        if let Some(orphan) = left.first() {
            let seen = format!("after {signal} to `run`, {} is still there: {}", orphan.pid, orphan.line());
            return Err(fail!(OrphansLeft, "no process", "{seen}"));
        }
        run.wait()?;
    }
    Ok(())
}
