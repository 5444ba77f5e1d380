//! The probe: a run of the program with a command that waits, so that the kernel can be asked about it.
//!
//! The command is the shell of whatever root it is in. It writes that it is there, waits for a word, repeats it, reads to the
//! end and ends with the status that it was told. What it writes only shows whether words pass through; everything else is
//! what the kernel has in /proc/PID of that process.

use std::process::ExitStatus;
use std::time::Duration;

use lab::procfs::{Pid, Process};
use nix::sys::signal::Signal;

use super::evidence::Evidence;
use super::observation::Observation;
use super::sandbox::{Invocation, Run, Sandbox, hostname};
use super::verdict::{Checked, Error};

/// What the command does. It uses only builtins, because from exercise 3 on the other programs are the rootfs's, and not
/// /dev/null, which is missing there. It stays a moment even if it can't read. It writes `ready` last, because a shell that
/// writes to another descriptor keeps the usual one at number 10 meanwhile.
const SCRIPT: &str = r#"echo "aside $0" >&2; echo "ready $0"; read word status || sleep 1; echo "said $word"; while read word; do :; done; exit ${status:-7}"#;

/// A command that ends with the status that is its argument.
const SHORT_SCRIPT: &str = r#"echo "ready $0"; exit $1"#;

/// Statuses that a program may lose although it passes on most: none, and one with the highest bit. Not above, because a
/// program that takes 130 for a signal, and kills itself by it, treats every signal right.
const SPECIAL_STATUSES: [i32; 2] = [0, 128];

/// Arguments that only arrive if each is kept as it is.
const ODD_ARGUMENTS: [&str; 2] = ["two  words", ""];

/// How long a program that doesn't wait may take to end.
const A_MOMENT: Duration = Duration::from_millis(100);
/// How long the command may take to end after stdin has.
pub const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long the command may take to appear.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Returns a word that nothing else on the host has.
pub fn nonce() -> String {
    format!("exam-{}", std::process::id())
}

/// Returns the line that the command writes to stdout.
pub fn ready_line() -> String {
    format!("ready {}", nonce())
}

/// Returns the line that the command writes to stderr.
pub fn aside_line() -> String {
    format!("aside {}", nonce())
}

/// Returns the word that is typed.
pub fn typed() -> String {
    format!("word-{}", std::process::id())
}

/// Returns the exit status that is typed behind it: a program that hasn't waited doesn't know it.
pub fn told() -> i32 {
    3 + (std::process::id() % 120).cast_signed()
}

/// Runs the program with the probe, and again with other statuses to end with.
pub fn observe(sandbox: &Sandbox) -> Checked<Evidence<'_>> {
    let mut evidence = observe_as(sandbox, &Invocation::default())?;
    // On a host that was changed, another run means nothing.
    let is_unchanged =
        evidence.mounts_left.is_empty() && evidence.mounts_gone.is_empty() && evidence.processes_left.is_empty();
    if is_unchanged && evidence.observation.is_some() && evidence.status.code() == Some(told()) {
        for told in SPECIAL_STATUSES {
            evidence.lost_status = evidence.lost_status.or(lost_status(sandbox, told)?);
        }
    }
    Ok(evidence)
}

/// Returns a status and how the program ends with it, if that isn't the same. It isn't judged here if the command doesn't run.
fn lost_status(sandbox: &Sandbox, told: i32) -> Checked<Option<(i32, ExitStatus)>> {
    let command = ["sh", "-c", SHORT_SCRIPT, &nonce(), &told.to_string()];
    let mut run = sandbox.start(&Invocation::default(), &command)?;
    run.end_input();
    let status = run.wait()?;
    let is_lost = status.code() != Some(told) && run.stdout().contains(&ready_line());
    Ok(is_lost.then_some((told, status)))
}

/// Runs the program, started in that way, with the probe.
pub fn observe_as<'a>(sandbox: &'a Sandbox, invocation: &Invocation<'_>) -> Checked<Evidence<'a>> {
    Ok(observe_more(sandbox, invocation, |_| Ok(()))?.0)
}

/// Runs the program with the probe, and observes more of the command while it waits, if it is there.
pub fn observe_more<'a, T: Default>(
    sandbox: &'a Sandbox,
    invocation: &Invocation<'_>,
    also: impl FnOnce(&Observation) -> Checked<T>,
) -> Checked<(Evidence<'a>, T)> {
    let nonce = nonce();
    let words = ["sh", "-c", SCRIPT, &nonce, ODD_ARGUMENTS[0], ODD_ARGUMENTS[1]];
    let mut run = sandbox.start(invocation, &words)?;
    let (ready, aside) = (ready_line(), aside_line());
    let (mut observation, mut more, mut double) = (None, T::default(), None);
    let (mut vanished, mut was_prompt, mut ended_early) = (false, false, false);
    let (command, other_words) = find(sandbox, &mut run, &words)?;
    if let Some(process) = command {
        // It may take a moment to write that it is there.
        was_prompt = run.wait_until(Duration::from_millis(500), |run| Ok(run.stdout().contains(&ready)))?;
        double = find_double(sandbox, &process)?;
        match Observation::of(sandbox, process.clone()) {
            Ok(observed) => more = also(observation.insert(observed))?,
            // The program has killed it, for example.
            Err(Error::Internal(_)) if !lives(sandbox, &process) => vanished = true,
            Err(error) => return Err(error),
        }
        // The program waits, or it has ended. On a busy machine it may do neither yet, and an interpreter takes a moment to end.
        run.wait_until(START_PATIENCE, |run| Ok(run.status().is_some() || run.is_in_state('S')))?;
        ended_early = run.wait_until(A_MOMENT, |run| Ok(run.status().is_some()))?;
    }
    let was_there = run.stdout().contains(&ready);
    run.type_line(&format!("{} {}", typed(), told()));
    run.end_input();
    let read_on = match &observation {
        Some(observation) => kill_if_it_reads_on(sandbox, &mut run, &observation.process)?,
        None => false,
    };
    let status = run.wait()?;
    let processes_left = run.left_behind()?;
    let (stdout, stderr) = (run.stdout(), run.stderr());
    let evidence = Evidence {
        sandbox,
        other_words: other_words.filter(|_| observation.is_none() && !vanished),
        observation,
        double,
        vanished,
        came_late: !was_there && stdout.contains(&ready),
        ended_early,
        status,
        remains: run.remains.clone(),
        wrote_setgroups: run.wrote_setgroups(),
        started_in: run.started_in,
        was_prompt,
        read_on,
        aside_arrived: stderr.contains(&aside),
        stderr: stderr.replace(&format!("{aside}\n"), ""),
        stdout,
        lost_status: None,
        host_name: hostname()?,
        mounts_left: sandbox.new_mounts()?,
        mounts_gone: sandbox.gone_mounts()?,
        processes_left,
    };
    Ok((evidence, more))
}

fn lives(sandbox: &Sandbox, process: &Process) -> bool {
    let now = sandbox.host.process(process.pid);
    now.is_some_and(|it| it.started == process.started && it.state != 'Z')
}

/// Kills the command if it still reads although stdin has ended, because the program would wait for it until its time is up.
fn kill_if_it_reads_on(sandbox: &Sandbox, run: &mut Run<'_>, command: &Process) -> Checked<bool> {
    if run.wait_until(END_PATIENCE, |_| Ok(!lives(sandbox, command)))? || !lives(sandbox, command) {
        return Ok(false);
    }
    match sandbox.signal(command.pid, Signal::SIGKILL) {
        // It has ended just now.
        Err(_) if !lives(sandbox, command) => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// Waits for the command. Returns it; or, if it never appears, a process that has the command's nonce or only its first words,
/// and isn't the program, which has all of them at its end.
fn find(sandbox: &Sandbox, run: &mut Run<'_>, words: &[&str]) -> Checked<(Option<Process>, Option<Process>)> {
    let is_command = |it: &Process| it.has_line(words);
    let hands_on = |it: &Process| it.args.len() > words.len() && it.ends_with(words);
    let has_nonce = |it: &Process| it.args.iter().any(|word| String::from_utf8_lossy(word).contains(words[3]));
    // `sh`, or `sh -c`, and no more.
    let is_cut_short = |it: &Process| (1..words.len()).contains(&it.args.len()) && it.has_line(&words[..it.args.len()]);
    let mut other = None;
    let command = run.poll(START_PATIENCE, |_| {
        let mut guests = sandbox.guests()?;
        guests.retain(|it| it.state != 'Z');
        let is_other = |it: &&Process| !hands_on(it) && !is_command(it) && (has_nonce(it) || is_cut_short(it));
        other = guests.iter().find(is_other).cloned().or(other.take());
        guests.retain(is_command);
        // A process that a shell forks has the shell's words until it becomes another program.
        let is_first = |it: &&Process| guests.iter().all(|other| other.pid != it.parent);
        Ok(guests.iter().filter(is_first).max_by_key(|it| (it.numbers.len(), it.started)).cloned())
    })?;
    Ok((command, other))
}

/// Returns another process with the command's words. A shell that forks has them as well, so neither an ancestor nor a
/// descendant counts.
fn find_double(sandbox: &Sandbox, command: &Process) -> Checked<Option<Process>> {
    let mut guests = sandbox.guests()?;
    guests.retain(|it| it.state != 'Z' && it.args == command.args);
    let parent = |pid: Pid| guests.iter().find(|it| it.pid == pid).map(|it| it.parent);
    let descends =
        |from: Pid, to: Pid| std::iter::successors(Some(from), |pid| parent(*pid)).take(100).any(|pid| pid == to);
    let is_double = |it: &&Process| !descends(it.pid, command.pid) && !descends(command.pid, it.pid);
    Ok(guests.iter().find(is_double).cloned())
}
