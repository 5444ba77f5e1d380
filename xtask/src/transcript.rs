//! Transcripts: what a person types on the throwaway host, and what the host answers. They are the tests' snapshots and
//! the book's terminal blocks, so one is the same on every machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use crate::host::Host;

/// Types each line to the shell of one throwaway host, and returns what a terminal would have shown: every line behind its
/// prompt, then what it wrote to stdout and stderr. `$?` passes from line to line.
///
/// # Panics
/// When the host can't be started, or the shell ends before the last line.
pub fn transcript(host: &Host, lines: &[&str]) -> String {
    // By the shell's stdin, not its arguments, which `ps` would show. `last` keeps the prompt's printf out of `$?`.
    let mut script = "exec 2>&1; status=0; last() { return $status; }\n".to_owned();
    for line in lines {
        let quoted = format!("'{}'", line.replace('\'', r"'\''"));
        let _ = writeln!(script, "printf '$ %s\\n' {quoted}; last; eval {quoted} </dev/null; status=$?");
    }
    script.push_str("exit 0\n");
    let mut shell = host.command("sh");
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().expect("the throwaway host starts");
    shell.stdin.take().expect("is piped").write_all(script.as_bytes()).expect("the shell reads its script");
    let output = shell.wait_with_output().expect("the throwaway host ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    redact(&text)
}

/// The single place for what may differ between machines and does not matter:
/// - ps pads its columns by the largest PID the kernel may give, which differs by kernel and namespace;
/// - a rootfs made of this machine's programs may need /lib64 besides Alpine's folders.
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
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
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
        assert_eq!(redact("a  b\n 1  2\nlib\nlib64\nmedia\n"), "a  b\n 1  2\nlib\nmedia\n");
    }
}
