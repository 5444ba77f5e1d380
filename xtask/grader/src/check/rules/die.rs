//! Exercise `die`: killing `run` ends the container.

use super::*;

pub fn a_killed_run_leaves_nothing(sandbox: &Sandbox) -> Checked {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut run = sandbox.start(&Invocation::default(), &["sh", "-c", "sleep 4242; :"])?;
        wait_for(sandbox, &mut run, &["sleep", "4242"])?;
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
    }
    Ok(())
}
