//! The probe: a run of the program with a command that waits, so that the kernel can be asked about it.
//!
//! The command is the shell of its root. It reports that it is running, waits for a word, repeats it, reads to the end and
//! exits with the status that it was told. Its output only shows whether words pass through; everything else comes from the
//! kernel, in the process's /proc/PID. All its words are random, and new for each run.

use std::time::Duration;

use lab::procfs::{Pid, Process};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::draw::Draw;
use super::evidence::{Evidence, shorten};
use super::observation::{Early, Observation};
use super::rules::START_PATIENCE;
use super::sandbox::{Invocation, Run, Sandbox, Slowed};
use super::stderr::Stderr;
use super::verdict::{Checked, Error, fail};

/// How long a program that doesn't wait may take to end, in the first run and in the others.
const A_MOMENT: Duration = Duration::from_millis(50);
const A_WHILE: Duration = Duration::from_millis(500);
const A_BLINK: Duration = Duration::from_millis(3);
/// How long the command may take to end after stdin has.
pub const END_PATIENCE: Duration = Duration::from_secs(2);
/// The statuses of the runs in a shared sandbox that follow the first.
const STATUSES: [u8; 5] = [0, 1, 2, 128, 255];

/// After a first run that took longer, fewer follow.
const SLOW_START: Duration = Duration::from_secs(2);

/// A command, and what it will write, read and exit with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The command: a shell, its script and arguments that are hard to pass on.
    pub words: Vec<String>,
    /// The line that it writes to stdout when it is there.
    pub ready: String,
    /// The line that it writes to stderr before that.
    pub aside: String,
    /// The word that is typed, and the line that it writes then.
    pub typed: String,
    pub answer: String,
    /// The exit status that is typed after the word. A program that didn't wait doesn't know it.
    pub told: u8,
}

impl Probe {
    /// Draws a probe that ends with the status `told`.
    ///
    /// The script uses only builtins, because from exercise 3 on the other programs are the rootfs's. It avoids /dev/null,
    /// which is missing there. It stays a moment even if it can't read. It writes `ready` last, because a shell that writes to
    /// another descriptor keeps the usual one at number 10 meanwhile.
    pub fn draw(draw: &Draw, told: u8) -> Probe {
        let (word, status, rest) = (draw.word(), draw.word(), draw.word());
        let [ready, aside, typed, prefix] = [(); 4].map(|()| draw.word());
        let say = draw.pick(&["echo", "printf '%s\\n'"]);
        let quote = draw.pick(&["", "\"", "'"]);
        let end = draw.pick(&["; ", "\n", " ;"]);
        let otherwise = draw.number(3, 9);
        let looping = match draw.chance() {
            true => format!("while read {rest}; do :; done"),
            false => format!("until ! read {rest}; do :; done"),
        };
        let script = format!(
            "{say} {quote}{aside}{quote} >&2{end}{say} {quote}{ready}{quote}{end}read {word} {status} || sleep 1{end}\
             {say} \"{prefix} ${word}\"{end}{looping}{end}exit ${{{status}:-{otherwise}}}"
        );
        let mut words: Vec<String> = ["sh".into(), "-c".into(), script].into();
        words.push(draw.word());
        words.extend(draw.arguments());
        Probe { words, ready, aside, answer: format!("{prefix} {typed}"), typed, told }
    }
}

/// Runs the program with several probes, and returns the evidence of each run.
pub fn observe(sandbox: &Sandbox) -> Checked<Vec<Evidence>> {
    let mut all = vec![observe_as(sandbox, &Invocation::default())?];
    // Use the sandbox's own clock, because every program is slow on a busy machine.
    let mut slow = sandbox.time.get() > SLOW_START;
    if needs_a_path(sandbox, &all[0])? {
        let seen = format!(
            "`run sh …` didn't run the command, but `run /bin/sh …` did; on stderr: {}",
            shorten(&all[0].stderr)
        );
        return Err(fail!(ExecWithoutPath, "the command's name looked up on the PATH", "{seen}"));
    }
    let mut statuses = STATUSES;
    sandbox.draw.shuffle(&mut statuses);
    for (told, slowly) in
        statuses.into_iter().zip([true, false, true, false, true]).take(if slow { 1 } else { STATUSES.len() })
    {
        // If the host has changed or the program fails anyway, another run means nothing.
        let is_telling = all.last().is_some_and(|it| it.changes.is_empty() && it.is_told_status());
        if !is_telling {
            break;
        }
        let mut invocation = Invocation { told: Some(told), slowly: slowly && !slow, ..Invocation::default() };
        let mut evidence = observe_as(sandbox, &invocation)?;
        // With the lowest priority, a program may get no CPU time on a busy machine, so being late means nothing.
        if invocation.slowly && was_too_slow(&evidence) {
            slow = true;
            invocation.slowly = false;
            evidence = observe_as(sandbox, &invocation)?;
        }
        all.push(evidence);
    }
    Ok(all)
}

/// True if the command didn't appear, write or read in time.
fn was_too_slow(evidence: &Evidence) -> bool {
    evidence.observation.is_none() || evidence.came_late || evidence.read_on || !evidence.was_prompt
}

/// True if the command runs only when it is named by its path. False if the program looked up the path on the host, where it
/// fits the rootfs by chance.
fn needs_a_path(sandbox: &Sandbox, first: &Evidence) -> Checked<bool> {
    let words = Stderr::new(&first.stderr);
    let is_looked_up =
        sandbox.host_only_shell.as_ref().is_some_and(|it| words.has(&it.display().to_string().to_lowercase()));
    let cannot_tell = first.observation.is_some() || !first.changes.is_empty();
    if cannot_tell || !words.names(Errno::ENOENT) || first.status.success() || is_looked_up {
        return Ok(false);
    }
    let second = observe_as(sandbox, &Invocation { by_path: true, ..Invocation::default() })?;
    Ok(second.observation.is_some())
}

/// Runs the program with a probe, started as `invocation` says.
pub fn observe_as(sandbox: &Sandbox, invocation: &Invocation<'_>) -> Checked<Evidence> {
    Ok(observe_more(sandbox, invocation, |_| Ok(()))?.0)
}

/// Runs the program with a probe, and observes more of the command while it waits, if it is there.
pub fn observe_more<T: Default>(
    sandbox: &Sandbox,
    invocation: &Invocation<'_>,
    also: impl FnOnce(&Observation) -> Checked<T>,
) -> Checked<(Evidence, T)> {
    let mut probe = Probe::draw(&sandbox.draw, invocation.told.unwrap_or_else(|| sandbox.draw.status()));
    if invocation.by_path {
        probe.words[0] = "/bin/sh".into();
    }
    let words: Vec<&str> = probe.words.iter().map(String::as_str).collect();
    let mut run = sandbox.start(invocation, &words)?;
    let (mut observation, mut more, mut double) = (None, T::default(), None);
    let (mut vanished, mut was_prompt, mut ended_early) = (false, false, false);
    let slowed = if invocation.slowly { Some(run.slow_down(|it| is_command(it, &words))?) } else { None };
    let (command, other_words) = find(sandbox, &mut run, &words)?;
    if let Some(process) = command {
        // While process 1 is stopped.
        let early = Early::of(sandbox, &process);
        slowed.iter().for_each(Slowed::end);
        // It may take a moment to write that it is there.
        was_prompt = run.wait_until(A_WHILE, |run| Ok(run.stdout().contains(&probe.ready)))?;
        run.wait_for_rest()?;
        double = find_double(sandbox, &process)?;
        match Observation::of(sandbox, process.clone(), early, &run.given) {
            Ok(observed) => more = also(observation.insert(observed))?,
            // The program has killed it, for example.
            Err(Error::Internal(_)) if !lives(sandbox, &process) => vanished = true,
            Err(error) => return Err(error),
        }
        // The program waits, or it has ended. On a busy machine it may do neither yet, and an interpreter takes a moment to end.
        run.wait_until(START_PATIENCE, |run| Ok(run.status().is_some() || run.is_in_state('S')))?;
        ended_early =
            run.wait_until(if sandbox.runs.get() == 1 { A_MOMENT } else { A_BLINK }, |run| Ok(run.status().is_some()))?;
    }
    slowed.iter().for_each(Slowed::end);
    let was_there = run.stdout().contains(&probe.ready);
    run.type_line(&format!("{} {}", probe.typed, probe.told));
    run.end_input();
    let read_on = match &observation {
        Some(observation) => kill_if_it_reads_on(sandbox, &mut run, &observation.process)?,
        None => false,
    };
    let status = run.wait()?;
    let changes = run.changes()?;
    let (stdout, stderr) = (run.stdout(), run.stderr());
    let evidence = Evidence {
        host: sandbox.baseline(),
        variables: run.variables.clone(),
        hostname: invocation.hostname.map(str::to_owned),
        other_words: other_words.filter(|_| observation.is_none() && !vanished),
        observation,
        double,
        vanished,
        came_late: !was_there && stdout.contains(&probe.ready),
        ended_early,
        status,
        remains: run.remains.clone(),
        wrote_setgroups: run.wrote_setgroups(),
        started_in: run.started_in,
        was_prompt,
        read_on,
        aside_arrived: stderr.contains(&probe.aside),
        stderr: stderr.replace(&format!("{}\n", probe.aside), ""),
        stdout,
        changes,
        probe,
    };
    sandbox.note_standing(&evidence);
    Ok((evidence, more))
}

fn lives(sandbox: &Sandbox, process: &Process) -> bool {
    let now = sandbox.host.process(process.pid);
    now.is_some_and(|it| it.started == process.started && !it.is_ending)
}

/// Kills the command if it still reads after stdin has ended. Otherwise the program would wait for it until the time limit.
fn kill_if_it_reads_on(sandbox: &Sandbox, run: &mut Run<'_>, command: &Process) -> Checked<bool> {
    if run.wait_until(END_PATIENCE, |_| Ok(!lives(sandbox, command)))? || !lives(sandbox, command) {
        return Ok(false);
    }
    Ok(sandbox.signal(command.pid, Signal::SIGKILL)?)
}

/// True for the command. Given a path, std's Command::new passes that path as the first word, which is harmless.
fn is_command(process: &Process, words: &[&str]) -> bool {
    let is_resolved = || process.ends_with(&words[1..]) && process.args[0].ends_with(b"/sh");
    process.has_line(words) || process.args.len() == words.len() && is_resolved()
}

/// Waits for the command and returns it. If it never appears, returns a process that has the script, one of the command's
/// arguments, or only its first words. The program itself doesn't count: it has all of the words at its end.
fn find(sandbox: &Sandbox, run: &mut Run<'_>, words: &[&str]) -> Checked<(Option<Process>, Option<Process>)> {
    let is_command = |it: &Process| is_command(it, words);
    let hands_on = |it: &Process| it.args.len() > words.len() && it.ends_with(words);
    let has_name = |it: &Process| it.args.iter().any(|word| String::from_utf8_lossy(word).contains(words[3]));
    // `sh`, or `sh -c`, and no more.
    let is_cut_short = |it: &Process| (1..words.len()).contains(&it.args.len()) && it.has_line(&words[..it.args.len()]);
    let mut other = None;
    let command = run.poll(START_PATIENCE, |_| {
        let mut guests = sandbox.guests()?;
        guests.retain(|it| it.state != 'Z');
        let is_other = |it: &&Process| !hands_on(it) && !is_command(it) && (has_name(it) || is_cut_short(it));
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
