//! The format of the `.diff` files: changes to a program. They have no line numbers, so they still apply when the program changes
//! elsewhere.
//!
//! ```diff
//! == name: verdict              begins a program; only in mutants.diff
//! @@                            begins an edit
//!      a line that stays
//! -    a line that is removed
//! +    a line that is added
//! ```
//!
//! A verdict is the id of the diagnosis that the program must get, or `passes`. With `ID, but passes for a real root`, the program
//! is wrong only in a user namespace.
//!
//! The lines that stay or are removed, in order, are the edit's old text. It must occur exactly once. Empty lines have no meaning.

use anyhow::{Context, Result, bail, ensure};

/// A change to a few adjacent lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file and the line where it begins: `xtask/exercises/uts/mutants.diff:3`.
    pub place: String,
    /// The lines that it replaces.
    pub old: Vec<String>,
    /// The lines that replace them.
    pub new: Vec<String>,
}

/// Parses the changes of one program. `file` is what errors name.
///
/// # Errors
/// If a line has no meaning; the message begins with the file and the line.
pub fn parse(file: &str, text: &str) -> Result<Vec<Edit>> {
    let mut sections = sections(file, text)?;
    ensure!(sections.len() == 1, "{file}:1: a line that begins with `==` belongs into mutants.diff");
    Ok(sections.remove(0).1)
}

/// Parses the changes of several programs, each under its heading. The first section is what comes before any heading.
///
/// # Errors
/// If a line has no meaning; the message begins with the file and the line.
pub fn sections(file: &str, text: &str) -> Result<Vec<(String, Vec<Edit>)>> {
    let mut sections: Vec<(String, Vec<Edit>)> = vec![Default::default()];
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let place = format!("{file}:{}", index + 1);
        if let Some(heading) = line.strip_prefix("== ") {
            sections.push((heading.to_owned(), Vec::new()));
            continue;
        }
        let edits = &mut sections.last_mut().expect("the first is there").1;
        if line == "@@" {
            edits.push(Edit { place, old: Vec::new(), new: Vec::new() });
            continue;
        }
        let edit = edits.last_mut().with_context(|| format!("{place}: no `@@` before this line"))?;
        let (old, new) = match line.split_at_checked(1) {
            Some(("-", old)) => (Some(old), None),
            Some(("+", new)) => (None, Some(new)),
            Some((" ", both)) => (Some(both), Some(both)),
            _ => bail!("{place}: a line begins with `@@`, `-`, `+` or a space"),
        };
        edit.old.extend(old.map(str::to_owned));
        edit.new.extend(new.map(str::to_owned));
    }
    Ok(sections)
}

/// Applies changes one after another.
///
/// # Errors
/// If an edit's old text doesn't occur exactly once, so that it no longer means what it meant.
pub fn apply(source: &str, edits: &[Edit]) -> Result<String> {
    let mut lines: Vec<&str> = source.lines().collect();
    for Edit { place, old, new } in edits {
        ensure!(!old.is_empty(), "{place}: this edit has no old text that says where it belongs");
        let found: Vec<usize> =
            lines.windows(old.len()).enumerate().filter(|(_, it)| *it == old).map(|(at, _)| at).collect();
        let [at] = found[..] else {
            bail!("{place}: the old text occurs {} times, not once:\n{}", found.len(), old.join("\n"))
        };
        lines.splice(at..at + old.len(), new.iter().map(String::as_str));
    }
    Ok(lines.into_iter().flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changed(source: &str, diff: &str) -> Result<String> {
        apply(source, &parse("x.diff", diff)?)
    }

    #[test]
    fn edits_replace_insert_and_remove_lines() {
        let source = "a\n  b\nc\nb\n";
        assert_eq!(changed(source, "@@\n-  b\n+  B\n@@\n c\n+d\n\n@@\n-a\n").unwrap(), "  B\nc\nd\nb\n");
        assert_eq!(changed(source, "").unwrap(), source);
        assert_eq!(changed("a\r\nb\r\n", "@@\r\n-b\r\n+c\r\n").unwrap(), "a\nc\n");
    }

    #[test]
    fn an_edit_that_does_not_apply_is_named_with_its_place() {
        for (diff, message) in [
            ("@@\n-z\n", "x.diff:1: the old text occurs 0 times"),
            ("@@\n c\n+d\n@@\n-b\n", "x.diff:4: the old text occurs 2 times"),
            ("@@\n+d\n", "x.diff:1: this edit has no old text"),
            ("-b\n", "x.diff:1: no `@@`"),
            ("@@\n-b\nb\n", "x.diff:3: a line begins with"),
            ("== another: passes\n@@\n", "x.diff:1: a line that begins with `==`"),
        ] {
            let error = changed("b\nc\nb\n", diff).unwrap_err().to_string();
            assert!(error.starts_with(message), "{diff:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_edits_or_an_error(source: String, text in "(@@|== |-|\\+| |\n|a|b|é){0,40}") {
            if let Ok(edits) = parse("x.diff", &text) {
                let _ = apply(&source, &edits);
            }
            let _ = sections("x.diff", &text);
        }
    }
}
