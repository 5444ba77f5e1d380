use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{EXERCISES, Exercise, read};

/// A program that tests the grader: a file in `xtask/exercises/ID/programs/`, in any language. Its first comment lines are
///
/// ```text
/// // WANT: passes: what it does
/// // WANT: zombies-kept: what it does wrong
/// // WANT: no-chroot | isolated-nothing: what it does wrong, if more than one diagnosis fits
/// // NEEDS: python3 ip
/// // ALSO: status reap
/// ```
///
/// `NEEDS` and `ALSO` are optional. A program in C is linked to `proc/programs/container.c`, and one in Go without a main to
/// `container.go`; those in Python and Perl can load `container.py` and `container.pl`. A `.h` file isn't a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file, from the top of the repository.
    pub path: PathBuf,
    /// The exercise's id and the file's name: `reap/busy-loop.c`.
    pub name: String,
    /// The ids of the diagnoses that fit; none if it must pass.
    pub wants: Vec<String>,
    /// What this machine must have: programs on the PATH, `root` for a host without a user namespace, `real-root` for a caller
    /// that is root on the machine, `x86_64`, `cgroups-for-users` for root or a machine without hybrid cgroups, or
    /// `locked-flags` for a host in a user namespace, on a machine on which /sys is mounted `nosuid`.
    pub needs: Vec<String>,
    /// The ids of further exercises that give it the same verdict.
    pub also: Vec<String>,
}

impl Exercise {
    /// Reads the programs that test the grader, in the order of their names.
    ///
    /// # Errors
    /// If a file can't be read, or has no `WANT` line.
    pub fn programs(&self, root: &Path) -> Result<Vec<Program>> {
        let directory = format!("{EXERCISES}/{}/programs", self.id);
        if !root.join(&directory).exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(root.join(&directory)).with_context(|| directory.clone())?.flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.ends_with(".h"));
        names.sort();
        let program = |name: &String| {
            let file = format!("{directory}/{name}");
            parse(&file, &format!("{}/{name}", self.id), &read(root, &file)?)
        };
        names.iter().map(program).collect()
    }
}

fn parse(file: &str, name: &str, text: &str) -> Result<Program> {
    let (mut wants, mut needs, mut also) = (None, Vec::new(), Vec::new());
    for line in text.lines().skip_while(|line| line.starts_with("#!")) {
        let comment = ["// ", "# ", "-- "].iter().find_map(|mark| line.strip_prefix(mark));
        let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
        match comment.and_then(|comment| comment.split_once(": ")) {
            Some(("WANT", verdict)) => {
                let (ids, sentence) = verdict.split_once(": ").unwrap_or_default();
                ensure!(!sentence.is_empty(), "{file}: `WANT: {verdict}` has no verdict and sentence");
                wants = Some(ids.split(" | ").filter(|id| *id != "passes").map(str::to_owned).collect());
            }
            Some(("NEEDS", value)) => needs = words(value),
            Some(("ALSO", value)) => also = words(value),
            _ => break,
        }
    }
    let wants = wants.with_context(|| format!("{file}: the first comment line isn't `WANT: VERDICT: SENTENCE`"))?;
    Ok(Program { path: file.into(), name: name.to_owned(), wants, needs, also })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_comment_lines_say_what_a_program_wants() {
        let text =
            "#!/bin/sh\n# WANT: no-fork | no-path: forgets: both.\n# NEEDS: perl ip\n# ALSO: reap\n\n# WANT: x: y\n";
        let Program { wants, needs, also, .. } = parse("a.sh", "uts/a.sh", text).unwrap();
        assert_eq!(
            (wants, needs),
            (vec!["no-fork".to_owned(), "no-path".to_owned()], vec!["perl".into(), "ip".into()])
        );
        assert_eq!(also, ["reap"]);
        assert!(parse("a.c", "uts/a.c", "// WANT: passes: is right.\n").unwrap().wants.is_empty());
        for text in ["", "// What?\n", "// WANT: passes\n", "int x;\n// WANT: passes: late.\n"] {
            assert!(parse("a.c", "uts/a.c", text).unwrap_err().to_string().starts_with("a.c: "), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_program_or_an_error(text in "(#!|// |# |WANT|NEEDS|ALSO|: | \\| |\n|a|é){0,40}") {
            let _ = parse("a.c", "uts/a.c", &text);
        }
    }
}
