//! The outcome of a check.

use serde::{Deserialize, Serialize};

use super::diagnosis::Diagnosis;

/// What was wrong, as observed from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The misconception.
    pub diagnosis: Diagnosis,
    /// What was seen.
    pub seen: String,
    /// What should have been seen.
    pub expected: String,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The rule holds.
    Pass,
    /// The rule doesn't hold.
    Fail(Failure),
    /// This machine can't tell.
    CannotRun {
        /// What is missing.
        why: String,
        /// What to do about it.
        cure: String,
    },
}

/// Why a rule doesn't return `Ok`: its verdict isn't a pass, or the grader failed.
#[derive(Debug)]
pub enum Error {
    /// The verdict.
    Verdict(Verdict),
    /// A call that the kernel refused, or a fault of the grader.
    Internal(anyhow::Error),
}

/// The result of a rule, or of part of one.
pub type Checked<T = ()> = Result<T, Error>;

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Error::Internal(error.into())
    }
}

/// Returns a failure. It keeps only the beginning of what was seen: a program may have opened a thousand files.
pub fn failure(diagnosis: Diagnosis, seen: String, expected: impl Into<String>) -> Error {
    const LONGEST: usize = 1000;
    let mut seen = seen;
    if let Some((end, _)) = seen.char_indices().nth(LONGEST) {
        seen.truncate(end);
        seen.push('…');
    }
    Error::Verdict(Verdict::Fail(Failure { diagnosis, seen, expected: expected.into() }))
}

/// Returns the verdict that this machine can't tell.
pub fn cannot_run(why: impl Into<String>, cure: impl Into<String>) -> Error {
    Error::Verdict(Verdict::CannotRun { why: why.into(), cure: cure.into() })
}

/// `fail!(Diagnosis, expected, "seen {}", …)`: an [`Error`] with that diagnosis.
macro_rules! fail {
    ($diagnosis:ident, $expected:expr, $($seen:tt)+) => {
        $crate::check::verdict::failure($crate::check::diagnosis::Diagnosis::$diagnosis, format!($($seen)+), $expected)
    };
}

/// `require!(condition, Diagnosis, expected, "seen {}", …)`: returns that failure unless the condition holds.
macro_rules! require {
    ($holds:expr, $($failure:tt)+) => {
        if !$holds {
            return Err(fail!($($failure)+));
        }
    };
}

pub(crate) use {fail, require};
