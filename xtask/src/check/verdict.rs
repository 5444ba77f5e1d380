//! What a check comes to: pass, fail with a diagnosis, or cannot run here; and how that travels from the examiner, which
//! is a process of its own, to whoever asked.

use super::diagnosis::Diagnosis;

/// What was wrong, as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The misconception.
    pub diagnosis: Diagnosis,
    /// What was seen.
    pub seen: String,
    /// What should have been.
    pub expected: String,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Not so.
    Fail(Failure),
    /// This machine can't tell.
    CannotRun {
        /// What is missing.
        why: String,
        /// What to do about it.
        cure: String,
    },
}

/// A failure. Of what was seen only the beginning is kept: a program may have opened a thousand files.
pub fn fail(diagnosis: Diagnosis, seen: impl Into<String>, expected: impl Into<String>) -> Failure {
    const LONGEST: usize = 1000;
    let mut seen = seen.into();
    if let Some((end, _)) = seen.char_indices().nth(LONGEST) {
        seen.truncate(end);
        seen.push('…');
    }
    Failure { diagnosis, seen, expected: expected.into() }
}

/// Shorthand for a check: `Pass` if it holds, else that failure.
pub fn require(holds: bool, failure: impl FnOnce() -> Failure) -> Verdict {
    if holds { Verdict::Pass } else { Verdict::Fail(failure()) }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Verdict::Fail(failure)
    }
}

impl Verdict {
    /// One line: fields with a tab between them.
    pub fn to_line(&self) -> String {
        let fields = match self {
            Verdict::Pass => vec!["pass".to_owned()],
            Verdict::Fail(Failure { diagnosis, seen, expected }) => {
                vec!["fail".to_owned(), diagnosis.id(), seen.clone(), expected.clone()]
            }
            Verdict::CannotRun { why, cure } => vec!["cannot".to_owned(), why.clone(), cure.clone()],
        };
        fields.iter().map(|field| field.escape_default().to_string()).collect::<Vec<_>>().join("\t")
    }

    /// What [`Verdict::to_line`] wrote.
    pub fn from_line(line: &str) -> Option<Verdict> {
        let fields: Vec<String> = line.split('\t').map(unescape).collect::<Option<_>>()?;
        match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["pass"] => Some(Verdict::Pass),
            ["fail", id, seen, expected] => Some(fail(Diagnosis::find(id)?, *seen, *expected).into()),
            ["cannot", why, cure] => Some(Verdict::CannotRun { why: (*why).into(), cure: (*cure).into() }),
            _ => None,
        }
    }
}

/// Undoes [`str::escape_default`].
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = chars.as_str().strip_prefix('{')?.split_once('}')?;
                chars = digits.1.chars();
                char::from_u32(u32::from_str_radix(digits.0, 16).ok()?)?
            }
            quoted => quoted,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_verdict_travels_in_one_line() {
        let odd = "a\ttab, a\nnewline, \\n, '\"', ü and \u{1b}[0m";
        for verdict in [
            Verdict::Pass,
            fail(Diagnosis::NeverRan, odd, "").into(),
            Verdict::CannotRun { why: odd.into(), cure: "x".into() },
        ] {
            let line = verdict.to_line();
            assert!(!line.contains('\n'));
            assert_eq!(Verdict::from_line(&line), Some(verdict));
        }
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        for line in ["", "pass\tx", "fail\tno-such\ta\tb", "fail\tnever-ran\ta", "cannot\t\\u{d800}\tx", "cannot\t\\"] {
            assert_eq!(Verdict::from_line(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_words_travel(seen in r"(\t|\n|\\|.){0,30}", expected: String) {
            for verdict in [
                fail(Diagnosis::NeverRan, seen.clone(), expected.clone()).into(),
                Verdict::CannotRun { why: seen, cure: expected },
            ] {
                let line = verdict.to_line();
                prop_assert!(!line.contains(|c: char| c.is_control() && c != '\t'));
                prop_assert_eq!(Verdict::from_line(&line), Some(verdict));
            }
        }

        #[test]
        fn any_line_is_a_verdict_or_none(line: String, id in "never-ran|no", odd in "[\\\\tnu{}0-9a-f\t]{0,30}") {
            for line in [line.clone(), format!("fail\t{id}\t{odd}\t{line}"), format!("cannot\t{odd}\t{odd}")] {
                if let Some(verdict) = Verdict::from_line(&line) {
                    prop_assert_eq!(Verdict::from_line(&verdict.to_line()), Some(verdict));
                }
            }
        }
    }
}
