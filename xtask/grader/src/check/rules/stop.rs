//! Exercise `stop`: SIGTERM to `run` reaches the command, and whatever doesn't end is killed.

use std::time::Instant;

use lab::procfs::{Pid, contains};

use super::run::require_status;
use super::status::require_signal;
use super::*;

const FLAG: &str = "--stop-timeout";
/// How much earlier or later than requested the end may come.
const SOONER: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_millis(2500);
/// How long after its command a program may begin to handle SIGTERM.
const UNREADY: Duration = Duration::from_secs(1);
/// How long a shell may block signals at most.
const UNBLOCKED: Duration = Duration::from_millis(500);

/// SIGTERM reaches the command and nothing else. The command decides what to do.
pub fn the_command_receives_term(sandbox: &Sandbox) -> Checked {
    let told = sandbox.draw.status();
    let [orphan, handler] =
        [sandbox.draw.number(1000, 4999), sandbox.draw.number(5000, 8999)].map(|seconds| seconds.to_string());
    // It outlives the shell that started it, so only a signal to all processes ends it.
    let leave_behind = format!(r#"sh -c "kill -9 \$PPID; exec sleep {orphan}"; :"#);
    let script = r#"trap 'sleep $2; over=1' TERM; sh -c "$1"; until [ "$over" ]; do sleep 0.02; done; exit $3"#;
    let line = ["sh", "-c", script, "sh", &leave_behind, &handler, &told.to_string()];
    let mut run = sandbox.start(&Invocation::default(), &line)?;
    let command = wait_for(sandbox, &mut run, &line)?;
    let orphan_line = ["sleep", &orphan];
    wait_for(sandbox, &mut run, &orphan_line)?;
    run.wait_until(PATIENCE, |_| Ok(has_term(sandbox, command.pid, "SigCgt")))?;
    settle(sandbox, &mut run)?;
    let blocking = || ["SigBlk", "SigIgn"].into_iter().find(|set| has_term(sandbox, command.pid, set));
    // A shell blocks signals itself, for a moment, when it starts a process.
    if !run.wait_until(UNBLOCKED, |_| Ok(blocking().is_none()))? {
        let set = blocking().unwrap_or("SigBlk");
        let seen = format!("{set} in /proc/{}/status contains SIGTERM", command.pid);
        return Err(fail!(TermBlocked, "no signal blocked or ignored when the command starts", "{seen}"));
    }
    sandbox.signal(run.pid()?, Signal::SIGTERM)?;
    let handler_line = ["sleep", &handler];
    let find = |line: &[&str]| Ok::<_, Error>(sandbox.guest_with(line)?);
    let expected = "SIGTERM passed to the command, and `run` waiting for it to end";
    let Some(handler) =
        run.poll(PATIENCE, |run| Ok(if run.status().is_some() { None } else { find(&handler_line)? }))?
    else {
        return Err(why_it_was_not_told(sandbox, &mut run, &command, expected));
    };
    let is_over = run.wait_until(A_MOMENT, |run| Ok(run.status().is_some()))?;
    if is_over {
        let how = describe(run.wait()?);
        let seen = format!("`run` ended with {how} while the command was still handling SIGTERM");
        return Err(fail!(StoppedTooSoon, "time for the command to end by itself", "{seen}"));
    }
    let seen = "SIGTERM also reached a process that the command had started";
    require!(find(&orphan_line)?.is_some(), TermToAll, "SIGTERM for the command only", "{seen}");
    sandbox.signal(handler.pid, Signal::SIGKILL)?;
    let is_again = |it: &Process| it.pid != handler.pid && it.state != 'Z';
    let again = |run: &mut Run<'_>| {
        let is_over = run.status().is_some();
        Ok(if is_over { Some(false) } else { find(&handler_line)?.filter(is_again).map(|_| true) })
    };
    let seen = "the command received SIGTERM again after handling it";
    require!(run.poll(PATIENCE, again)? != Some(true), TermRepeated, "SIGTERM once, as it was sent", "{seen}");
    require_status(run.wait()?, told, "after SIGTERM, ", &run.stderr())
}

/// If SIGTERM kills the command, the status is 143.
pub fn an_end_by_term_is_143(sandbox: &Sandbox) -> Checked {
    let line = ["sleep", &sandbox.draw.number(1000, 8999).to_string()];
    let mut run = sandbox.start(&Invocation::default(), &line)?;
    let command = wait_for(sandbox, &mut run, &line)?;
    settle(sandbox, &mut run)?;
    sandbox.signal(run.pid()?, Signal::SIGTERM)?;
    let expected = "the command killed by SIGTERM, and status 143";
    let Some(status) = run.poll(PATIENCE, |run| Ok(run.status()))? else {
        return Err(why_it_was_not_told(sandbox, &mut run, &command, expected));
    };
    require_signal(status, Signal::SIGTERM)
}

/// A command that doesn't end in time is killed, with everything in the container.
pub fn then_everything_is_killed(sandbox: &Sandbox) -> Checked {
    let seconds = sandbox.draw.number(1, 2);
    let sleep = sandbox.draw.number(1000, 8999).to_string();
    let flags = [FLAG, &seconds.to_string()];
    let invocation = Invocation { flags: &flags, ..Default::default() };
    let line = ["sh", "-c", r#"trap "" TERM; sleep $0; :"#, &sleep];
    let mut run = sandbox.start(&invocation, &line)?;
    let sleep = wait_for_with(sandbox, &mut run, FLAG, &["sleep", &sleep])?;
    settle(sandbox, &mut run)?;
    let (start, timeout) = (Instant::now(), Duration::from_secs(seconds.into()));
    sandbox.signal(run.pid()?, Signal::SIGTERM)?;
    let status = run.poll(timeout + LATER, |run| Ok(run.status()))?;
    let (after, with) = (start.elapsed().as_secs_f32(), flags.join(" "));
    let Some(status) = status else {
        let seen = format!("with `{with}`, `run` and process {} are still there {after:.1} s after SIGTERM", sleep.pid);
        return Err(fail!(NeverKilled, "everything killed, because the command ignores SIGTERM", "{seen}"));
    };
    let seen = format!("with `{with}`, `run` ended {after:.1} s after SIGTERM, with {}", describe(status));
    let expected = format!("{seconds} s for the command to end");
    require!(start.elapsed() + SOONER > timeout, StoppedTooSoon, expected, "{seen}");
    if let Some(left) = run.left_behind()?.first() {
        let seen = format!("{seen}; process {} is still there: {}", left.pid, left.line());
        return Err(fail!(OrphansLeft, "no process left", "{seen}"));
    }
    require_signal(status, Signal::SIGKILL)
}

/// Returns why SIGTERM didn't reach the command: `run` died of it or kept it, or process 1 never received it.
fn why_it_was_not_told(sandbox: &Sandbox, run: &mut Run<'_>, command: &Process, expected: &str) -> Error {
    if let Some(status) = run.status() {
        let lives = sandbox.host.process(command.pid).is_some_and(|it| !it.is_ending);
        let what = if lives { "the command still runs" } else { "the command has ended, too" };
        let seen = format!("after SIGTERM, `run` ended with {}; {what}", describe(status));
        // A status that isn't about a signal to the command is that of process 1, such as 2 of a Go program.
        return match status.code() {
            Some(code) if code == 128 + Signal::SIGKILL as i32 => fail!(StoppedTooSoon, expected, "{seen}"),
            Some(code) if !lives && ![0, 128 + Signal::SIGTERM as i32].contains(&code) => {
                fail!(Process1Ended, expected, "{seen}")
            }
            _ => fail!(TermNotForwarded, expected, "{seen}"),
        };
    }
    let Ok(program) = run.pid() else { return fail!(TermNotForwarded, expected, "`run` is gone") };
    let seconds = PATIENCE.as_secs();
    let kept = ["SigPnd", "ShdPnd", "SigIgn"].into_iter().find(|set| has_term(sandbox, program, set));
    if let Some(set) = kept {
        let seen = format!("{seconds} s after SIGTERM to `run`, {set} in /proc/{program}/status still contains it");
        return fail!(TermKept, expected, "{seen}");
    }
    let pid = command.pid;
    let seen = format!(
        "{seconds} s after SIGTERM to `run`, which accepted it, the command, process {pid}, hasn't received it"
    );
    let first = sandbox.guests().unwrap_or_default().into_iter().find(|it| it.inner_pid() == 1);
    match first.filter(|it| !takes_term(sandbox, it.pid)) {
        Some(first) => {
            let sets = format!("process 1 of the container, {}, neither handles nor blocks SIGTERM", first.pid);
            fail!(TermDropped, expected, "{seen}; {sets}")
        }
        None => fail!(TermKept, expected, "{seen}"),
    }
}

/// Waits a moment after the command has appeared, so that the program gets to where it waits for signals, and longer on a busy
/// machine, where it may neither handle nor block SIGTERM yet.
fn settle(sandbox: &Sandbox, run: &mut Run<'_>) -> Checked {
    run.wait_until(A_MOMENT, |_| Ok(false))?;
    let program = run.pid()?;
    run.wait_until(UNREADY, |run| Ok(run.status().is_some() || takes_term(sandbox, program))).map(drop)
}

/// True if a process handles or blocks SIGTERM.
fn takes_term(sandbox: &Sandbox, pid: Pid) -> bool {
    ["SigCgt", "SigBlk"].iter().any(|set| has_term(sandbox, pid, set))
}

/// True if a set of signals in the status of a process contains SIGTERM.
fn has_term(sandbox: &Sandbox, pid: Pid, set: &str) -> bool {
    let status = sandbox.host.status(pid).unwrap_or_default();
    status.set(set).is_some_and(|set| contains(set, Signal::SIGTERM))
}
