//! Text for people: writes to a stdout that may be closed, wraps to the width of the terminal, and suggests a word for a typo.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use duct::cmd;

use crate::workspace;

/// The variable in which the front door of an archive tells the other tools how it was called.
pub const CALLED: &str = "MINI_DOCKER_CALLED";

/// Returns text for the reader of a checkout as it is; for the user of an archive, with the command and the directory that exist
/// there instead of `cargo xtask` and `workshop/`.
pub fn localized(text: &str) -> Cow<'_, str> {
    if !workspace::IS_ARCHIVE {
        return text.into();
    }
    let called = env::var(CALLED).ok().or_else(|| env::args().next()).unwrap_or_default();
    localized_to(text, &called, &format!("{}/", workspace::workshop().display())).into()
}

fn localized_to(text: &str, called: &str, workshop: &str) -> String {
    const WORKSHOP: &str = "workshop/";
    let mut parts = text.split(WORKSHOP);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_part_of_a_path = out.ends_with(|c: char| c.is_alphanumeric() || "-_./".contains(c));
        out += if is_part_of_a_path { WORKSHOP } else { workshop };
        out += part;
    }
    out.replace("cargo xtask", called)
}

/// Writes `text` to stdout. A reader that has read enough, as in `cargo xtask compare | head`, is not an error.
///
/// # Errors
/// Those of write(2), except EPIPE.
pub fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    // Text without a newline at its end would otherwise wait, and come after what others write.
    match stdout.write_all(localized(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write(1)"),
    }
}

/// Returns the width of the terminal in columns: `COLUMNS`, otherwise what stty(1) reports of the terminal on stdin, otherwise
/// 80. It is at least 40.
pub fn width() -> usize {
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let from_terminal = || {
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        // It prints the rows, then the columns.
        let size = is_terminal.then(|| cmd!("stty", "size").stderr_null().read().ok()).flatten()?;
        size.split_whitespace().nth(1)?.parse().ok().filter(|columns| *columns > 0)
    };
    columns.or_else(from_terminal).unwrap_or(80).max(40)
}

/// Wraps `text` at word boundaries to `width` columns, and indents each line after the first by `indent` spaces. What is
/// between backticks stays on one line, so that a command can be pasted, and a bullet stays with the word after it.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = Vec::<String>::new();
    for word in words(text) {
        let fits = |line: &str| line.trim() == "-" || line.chars().count() + 1 + word.chars().count() <= width;
        match lines.last_mut() {
            Some(line) if fits(line) => *line += &format!(" {word}"),
            Some(_) => lines.push(format!("{:indent$}{word}", "")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// Splits at blanks, except between backticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    let parts = text.split(move |c: char| {
        in_code ^= c == '`';
        c.is_whitespace() && !in_code
    });
    parts.filter(|word| !word.is_empty())
}

/// Returns `: did you mean 'run'?` for the nearest of the `known` words, if no more than a third of its letters are wrong;
/// otherwise nothing.
pub fn suggestion<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |word: &str| strsim::damerau_levenshtein(unknown, word);
    let nearest = known.into_iter().min_by_key(|word| distance(word));
    let nearest = nearest.filter(|word| distance(word) <= (word.chars().count() / 3).max(1));
    nearest.map(|word| format!(": did you mean '{word}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_at_words_and_keeps_code_whole() {
        assert_eq!(wrap("one two  three\nfour", 9, 2), "one two\n  three\n  four");
        assert_eq!(wrap("see `a command with words` now", 12, 0), "see\n`a command with words`\nnow");
        assert_eq!(wrap("- `a command` to try", 9, 2), "- `a command`\n  to try");
        assert_eq!(wrap("", 9, 2), "");
    }

    #[test]
    fn an_archive_names_its_own_command_and_directory() {
        let text = "workshop/ is ready: `cargo xtask check` grades workshop/mine.py, not /a/my-workshop/x";
        let shown = "/home/me/w/ is ready: `./mini-docker check` grades /home/me/w/mine.py, not /a/my-workshop/x";
        assert_eq!(localized_to(text, "./mini-docker", "/home/me/w/"), shown);
    }
}
