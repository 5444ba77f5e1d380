//! A person at a terminal: ssh -t, a shell with job control, and in it a container's shell.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use testkit::terminal::Terminal;

use super::Answer;
use super::guest::{Guest, TOP, Who};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops, continues and interrupts a command in a container's shell, ends the shell, and types in the one that started it.
pub fn check(guest: &Guest, who: Who, step: &str) -> Answer {
    // Words that the typed line hasn't, so that the echo isn't taken for the answer.
    let sudo = if who == Who::Root { "sudo " } else { "" };
    let talk = || -> Result<()> {
        let mut terminal = Terminal::open(&mut guest.ssh(&["-tt"]))?.with_patience(PATIENCE);
        terminal.wait_for("$ ");
        terminal.answer(&format!("cd {TOP}; {sudo}./mini-docker run {step}\n"), "# ");
        terminal.answer("echo on $(tty | cut -c1-8); sh -c 'echo be''gin; exec sleep 1000'\n", "begin\r\n");
        terminal.answer("\x1a", "Stopped");
        terminal.wait_for("# ");
        terminal.answer("fg\n", "sleep 1000");
        // The shell prints that before the command has the terminal.
        sleep(Duration::from_secs(2));
        terminal.answer("\x03", "# ");
        terminal.answer("echo interrupted: $?; exit 7\n", "interrupted: 130");
        // sudo reads what is typed before its command ends.
        terminal.wait_for("$ ");
        terminal.answer("echo exited: $?\n", "exited: 7");
        Ok(())
    };
    // A terminal that doesn't show what it should panics.
    let result = catch_unwind(AssertUnwindSafe(talk));
    let answer = match &result {
        Ok(Ok(())) => "job control, Ctrl-C, and status 7 of `exit 7`".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    let command = format!("`ssh -t`, then `./mini-docker run {step}`");
    Answer { part: super::TERMINAL, who: who.name(), command, answer, is_right: matches!(result, Ok(Ok(()))) }
}
