//! Problems of the book, printed as a compiler does: `file:line: message`.

use std::fmt;

/// A problem, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path from the top of the workspace, with `/` between its parts.
    pub file: String,
    /// Counted from 1; `None` if the problem isn't in one line.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(file: impl Into<String>, line: impl Into<Option<usize>>, message: impl Into<String>) -> Problem {
        Problem { file: file.into(), line: line.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, message } = self;
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        write!(f, "{file}{line}: {message}")
    }
}

/// All problems of a build, so that one build shows everything that must be fixed.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Sorts the problems and removes duplicates. Returns them as an error if there are any.
    pub(crate) fn none_in(mut problems: Vec<Problem>) -> Result<(), Problems> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl std::error::Error for Problems {}
