//! What is wrong with the book, said as a compiler would: `file:line: message`.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From the workspace's top folder, with `/` between the parts.
    pub file: String,
    /// Counted from 1; `None` where no line is to blame.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { file: file.into(), line: None, message: message.into() }
    }

    /// A problem of one line.
    pub fn at(file: impl Into<String>, line: usize, message: impl Into<String>) -> Problem {
        Problem { file: file.into(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, message } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {message}"),
            None => write!(f, "{file}: {message}"),
        }
    }
}

/// Why there is no book: all that was found, so that one build shows everything there is to mend.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Sorted, each once; an error if there is any.
    ///
    /// # Errors
    /// The problems.
    pub fn none_in(mut problems: Vec<Problem>) -> Result<(), Problems> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl std::error::Error for Problems {}

/// The lines (counted from 1) of `text` that hold the first of `needles` that any line holds. What is searched ends there:
/// `#why` is not in `#why-not`.
pub fn lines_of(text: &str, needles: &[impl AsRef<str>]) -> Vec<usize> {
    let more = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let holds = |line: &str, needle: &str| {
        line.match_indices(needle)
            .any(|(at, _)| !needle.ends_with(more) || !line[at + needle.len()..].starts_with(more))
    };
    let needles = needles.iter().map(AsRef::as_ref).filter(|needle| !needle.is_empty());
    needles
        .map(|needle| (1..).zip(text.lines()).filter(|(_, line)| holds(line, needle)).map(|(at, _)| at).collect())
        .find(|found: &Vec<usize>| !found.is_empty())
        .unwrap_or_default()
}

/// The first of them.
pub fn line_of(text: &str, needles: &[impl AsRef<str>]) -> Option<usize> {
    lines_of(text, needles).first().copied()
}

#[cfg(test)]
mod tests {
    use super::lines_of;

    #[test]
    fn what_is_searched_is_found_whole() {
        let text = "## A {#why-not}\n[b](#why) [c](#why)\n## D {#why}\n<a href=\"#why\">\n";
        assert_eq!(lines_of(text, &["", "nowhere", "(#why)", "#why"]), [2]);
        assert_eq!(lines_of(text, &["#why"]), [2, 3, 4]);
        assert_eq!(lines_of(text, &["{#"]), [1, 3]);
        assert!(lines_of(text, &["#wh"]).is_empty());
    }
}
