//! Transcripts: what a person types on the throwaway host, and what the host answers. They are the tests' snapshots and the
//! book's terminal blocks, so each is the same on every machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::host::Host;

/// Types each line to the shell of one throwaway host, and returns what a terminal would have shown: every line behind its
/// prompt, then what it wrote to stdout and stderr. `$?` passes from line to line.
///
/// # Panics
/// When the host can't be started, or the shell ends before the last line.
pub fn transcript(host: &Host, lines: &[&str]) -> String {
    typed_to(&mut host.command("sh"), lines).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The same for any shell.
///
/// # Errors
/// When the shell can't be started, or ends before the last line.
pub fn typed_to(shell: &mut Command, lines: &[&str]) -> Result<String> {
    let script = script(lines);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    shell.stdin.take().context("is piped")?.write_all(script.as_bytes())?;
    let output = shell.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(redact(&text))
}

/// Returns a shell's input, which types each line and prints it behind a prompt first.
pub fn script(lines: &[&str]) -> String {
    // By the shell's stdin, not its arguments, which `ps` would show. `last` keeps the prompt's printf out of `$?`.
    let mut script = "exec 2>&1; status=0; last() { return $status; }\n".to_owned();
    for line in lines {
        let quoted = format!("'{}'", line.replace('\'', r"'\''"));
        let _ = writeln!(script, "printf '$ %s\\n' {quoted}; last; eval {quoted} </dev/null; status=$?");
    }
    script + "exit 0\n"
}

/// Removes what may differ between machines and doesn't matter. This is the only place that does:
/// - ps pads its columns to the largest PID that the kernel may assign, which differs by kernel and namespace;
/// - a rootfs made of this machine's programs may need /lib64 in addition to Alpine's directories.
pub fn redact(text: &str) -> String {
    let mut lines = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        in_table = match words.first() {
            Some(&"PID") => true,
            Some(first) => in_table && first.parse::<u32>().is_ok(),
            None => false,
        };
        match words.as_slice() {
            ["lib64"] => {}
            [pid, rest @ ..] if in_table => lines.push(format!("{pid:>5} {}", rest.join(" "))),
            _ => lines.push(line.trim_end().replace(" /lib64 ", " ")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::redact;

    #[test]
    fn both_kinds_of_ps_become_one() {
        let busybox = "$ ps\nPID   USER     COMMAND\n    1 root     sh\n";
        let procps = "$ ps\n    PID USER COMMAND\n      1 root sh  \n";
        assert_eq!(redact(busybox), "$ ps\n  PID USER COMMAND\n    1 root sh\n");
        assert_eq!(redact(procps), redact(busybox));
    }

    #[test]
    fn outside_a_process_table_blanks_stay() {
        assert_eq!(redact("a  b\n 1  2\n"), "a  b\n 1  2\n");
    }

    #[test]
    fn only_alpines_directories_are_shown() {
        assert_eq!(redact("lib\nlib64\nmedia\n/lib /lib64 /media\n"), "lib\nmedia\n/lib /media\n");
    }

    proptest! {
        #[test]
        fn any_output_is_evened_out_once_and_for_all(text in "(PID|[0-9]{1,3}|\n|\\PC| |\t|\r){0,60}") {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once.clone());
            prop_assert_eq!(once.lines().count(), text.lines().count().max(1));
            // Only blanks may differ.
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&once), words(&text));
        }
    }
}
