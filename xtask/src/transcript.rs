//! Transcripts: what a person types on the throwaway host, and what the host answers. They are the tests' snapshots and
//! the book's terminal blocks, so one is the same on every machine.

use crate::host::Host;

/// Runs each line with the shell of one throwaway host, in order, and returns what a terminal would have shown: every line
/// behind its prompt, then what it wrote to stdout and stderr. `$?` passes from line to line.
///
/// # Panics
/// When the host can't be started, or the shell ends before the last line.
pub fn transcript(host: &Host, lines: &[&str]) -> String {
    // `status` is a function so that the prompt's printf does not hide the last line's `$?`.
    const SCRIPT: &str = r#"exec 2>&1
        last=0; status() { return $last; }
        for line do printf '$ %s\n' "$line"; status; eval "$line"; last=$?; done
        exit 0"#;
    let output = host.sh(SCRIPT).arg("sh").args(lines).output().expect("the throwaway host starts");
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
