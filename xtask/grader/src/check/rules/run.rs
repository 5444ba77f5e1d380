//! Exercise `run`: start the command with its words, connect its streams, wait for it, and pass its status on.

use super::*;
use crate::check::probe::END_PATIENCE;

pub fn the_command_runs(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    if let Some(double) = &evidence.double {
        let (one, other) = (command.pid(), double.pid);
        return Err(fail!(WrongCommand, "one process with the command's words", "both {one} and {other} have them"));
    }
    let expected = "the `sh` of its own root";
    let pid = command.pid();
    let seen = format!("process {pid} has the command's words, but executes another file");
    require!(command.is_the_shell, WrongCommand, expected, "{seen}");
    Ok(())
}

pub fn input_and_output_pass_through(evidence: &Evidence) -> Checked {
    evidence.command()?;
    let Evidence { stdout, stderr, probe, .. } = evidence;
    let (line, answer, out) = (&probe.ready, &probe.answer, shorten(stdout));
    let (on_stdout, on_stderr) = (stdout.contains(line), stderr.contains(line));
    require!(on_stdout || on_stderr, OutputSwallowed, line, "on stdout: {out}");
    // If the line is on stderr, which is the next rule's concern, its time isn't known.
    let late = "the command had written a line and was waiting for input, but nothing had arrived";
    require!(!on_stdout || evidence.was_prompt, OutputSwallowed, format!("the line `{line}` at once"), "{late}");
    let has_answer = stdout.contains(answer) || stderr.contains(answer);
    require!(has_answer, InputLost, answer, "after typing {:?}, on stdout: {out}", probe.typed);
    let seconds = END_PATIENCE.as_secs();
    let seen = format!("{seconds} s after stdin ended, the command was still waiting for input");
    require!(!evidence.read_on, InputLost, "the end of stdin passed on to the command", "{seen}");
    Ok(())
}

pub fn stdout_and_stderr_are_two(evidence: &Evidence) -> Checked {
    evidence.command()?;
    let Probe { ready, aside, .. } = &evidence.probe;
    let expected = "the command's stdout on stdout, and its stderr on stderr";
    // A program may print the command's words, and so a part of a line.
    let has_line = |text: &str, line: &String| text.lines().any(|it| it == line);
    let seen = format!("the command wrote `{ready}` to stdout, but it arrived on stderr");
    require!(!has_line(&evidence.stderr, ready), StreamsJoined, expected, "{seen}");
    let seen = format!("the command wrote `{aside}` to stderr, but it arrived on stdout");
    require!(!has_line(&evidence.stdout, aside), StreamsJoined, expected, "{seen}");
    let seen = format!("the command wrote `{aside}` to stderr, but it didn't arrive");
    require!(evidence.aside_arrived, OutputSwallowed, expected, "{seen}");
    Ok(())
}

pub fn run_waits(evidence: &Evidence) -> Checked {
    evidence.command()?;
    let seen = format!("`run` ended with {} while the command waited", describe(evidence.status));
    require!(!evidence.ended_early, DidNotWait, "`run` waiting until the command ends", "{seen}");
    Ok(())
}

pub fn the_status_is_passed_on(evidence: &Evidence) -> Checked {
    evidence.command()?;
    require_status(evidence.status, evidence.probe.told, "", &evidence.stderr)
}

/// Requires that the program ended with the status that the command did.
pub fn require_status(status: std::process::ExitStatus, told: u8, when: &str, stderr: &str) -> Checked {
    if status.code() == Some(told.into()) {
        return Ok(());
    }
    let said = if stderr.trim().is_empty() { String::new() } else { format!("; on stderr: {}", shorten(stderr)) };
    let collected = Stderr::new(stderr).names(Errno::ECHILD);
    let diagnosis = if collected { Diagnosis::CollectedAlready } else { Diagnosis::StatusLost };
    let seen = format!("{when}the command ended with status {told}, but `run` ended with {}{said}", describe(status));
    Err(failure(diagnosis, seen, format!("status {told}")))
}

/// Even a command of one word is not a script for a shell.
pub fn a_command_is_not_given_to_a_shell(sandbox: &Sandbox) -> Checked {
    let (word, status) = (sandbox.draw.word(), sandbox.draw.number(40, 110).cast_signed());
    let mut run = sandbox.start(&Invocation::default(), &[&format!("{word};exit {status}")])?;
    run.end_input();
    let ended = run.wait()?;
    let seen = format!("`run '{word};exit {status}'` ended with status {status}: a shell interpreted the word");
    require!(ended.code() != Some(status), WordsLost, "an error, because no command has that name", "{seen}");
    Ok(())
}

/// On a terminal, stdout and stderr are the same file, and their lines appear in the order they were written.
pub fn output_keeps_its_order(sandbox: &Sandbox) -> Checked {
    // Enough lines to catch two copying threads every time.
    let lines = 500 + 2 * sandbox.draw.number(0, 100) as usize;
    let n = sandbox.draw.word();
    let script =
        format!("{n}=0; while [ ${n} -lt {lines} ]; do echo ${n}; {n}=$(({n}+1)); echo ${n} >&2; {n}=$(({n}+1)); done");
    let mut run = sandbox.start(&Invocation { merged: true, ..Default::default() }, &["sh", "-c", &script])?;
    run.wait()?;
    // If `run` didn't wait, which is another rule's concern, more output may follow.
    run.left_behind()?;
    let text = run.stdout();
    // A program may write more than the command does.
    let numbers: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let expected =
        format!("0 to {} in order, one number per line: even ones from stdout, odd ones from stderr", lines - 1);
    if let Some(missing) = (0..lines).find(|number| !numbers.contains(number)) {
        return Err(fail!(OutputSwallowed, expected, "{missing} is missing: {}", shorten(&text)));
    }
    require!((0..lines).eq(numbers.iter().copied()), OutputReordered, expected, "{}", shorten(&text));
    Ok(())
}
