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

/// The first line (counted from 1) of `text` that holds one of `needles`; an earlier needle is the better one.
pub fn line_of(text: &str, needles: &[&str]) -> Option<usize> {
    let of = |needle: &&str| text.lines().position(|line| !needle.is_empty() && line.contains(*needle));
    needles.iter().find_map(of).map(|index| index + 1)
}
