use std::path::Path;

use anyhow::{Result, ensure};

use crate::read;

/// Where the diagnoses are, from the top of the repository.
pub const DIAGNOSES: &str = "xtask/exercises/diagnoses.md";

/// A cause that a failure can have: a section of `diagnoses.md`. The heading is its id, the next line names the section of the book
/// that explains it, and the rest is its text.
///
/// ```markdown
/// ## no-uts-namespace
/// step01.md#why
///
/// The command is in the host's UTS namespace, so the hostname that it sees is the host's.
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its name for machines: `no-uts-namespace`.
    pub id: String,
    /// The section of the book that explains it: `step01.md#why`.
    pub section: String,
    /// The usual cause and what to change first, in one line.
    pub text: String,
    /// The line of its heading.
    pub line: usize,
}

/// Reads all diagnoses of the repository whose top directory is `root`.
///
/// # Errors
/// If the file can't be read or is wrong. The message begins with the file and the line.
pub fn diagnoses(root: &Path) -> Result<Vec<Diagnosis>> {
    parse(&read(root, DIAGNOSES)?)
}

fn parse(text: &str) -> Result<Vec<Diagnosis>> {
    let mut found: Vec<Diagnosis> = Vec::new();
    let mut line = 1;
    for part in text.split("\n## ") {
        // Before the first heading is an introduction.
        if line > 1 {
            let mut lines = part.lines().map(str::trim);
            let (id, section) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            let text = lines.filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
            ensure!(!found.iter().any(|it| it.id == id), "{DIAGNOSES}:{line}: there are two diagnoses `{id}`");
            ensure!(section.contains(".md#"), "{DIAGNOSES}:{line}: `{id}` names no section of the book");
            ensure!(!text.is_empty(), "{DIAGNOSES}:{line}: `{id}` has no text");
            found.push(Diagnosis { id: id.to_owned(), section: section.to_owned(), text, line });
        }
        line += part.matches('\n').count() + 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# Diagnoses\n\nWords.\n\n## one\na.md#why\n\nFirst line,\nsecond.\n\n## two\nb.md#x\n\nMore.\n";

    #[test]
    fn a_diagnosis_has_its_parts() {
        let [one, two] = parse(TEXT).unwrap().try_into().unwrap();
        assert_eq!((one.id.as_str(), one.section.as_str(), one.line), ("one", "a.md#why", 5));
        assert_eq!(one.text, "First line, second.");
        assert_eq!((two.id.as_str(), two.text.as_str(), two.line), ("two", "More.", 11));
    }

    #[test]
    fn a_wrong_diagnosis_is_named_with_its_line() {
        for (old, new, message) in [
            ("b.md#x", "b.md", "diagnoses.md:11: `two` names no section"),
            ("a.md#why\n", "", "diagnoses.md:5: `one` names no section"),
            ("More.\n", "", "diagnoses.md:11: `two` has no text"),
            ("## two", "## one", "diagnoses.md:11: there are two diagnoses `one`"),
        ] {
            let error = parse(&TEXT.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_diagnoses_or_an_error(text in "(## |a|\\.md#|\n|é){0,40}") {
            let _ = parse(&text);
        }
    }
}
