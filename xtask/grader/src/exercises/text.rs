//! What a learner reads of an exercise: `xtask/exercises/ID.md`, for the command line and the book alike.
//!
//! ```markdown
//! # A hostname of its own
//!
//! - chapter: step01.md
//! - minutes: 30
//! - function: child
//!
//! What to do, in a paragraph or two.
//!
//! ## Ask yourself
//!
//! A hint; there may be any number of them, from a question to the calls in their order.
//! ```

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// An exercise in words. Everything but `function` is Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its name for people.
    pub title: String,
    /// The chapter that it belongs to, by its file name.
    pub chapter: String,
    /// How long it takes.
    pub minutes: u32,
    /// The function whose solution is the last hint but one.
    pub function: String,
    /// What to do.
    pub statement: String,
    /// Each with its heading.
    pub hints: Vec<(String, String)>,
}

/// The text of the exercise called `id`.
///
/// # Errors
/// When there is none, or a part is missing or empty.
pub fn of(id: &str) -> Result<Text> {
    let path = workspace::root().join("xtask/exercises").join(format!("{id}.md"));
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Text> {
    let mut sections = text.split("\n## ");
    let head = sections.next().unwrap_or_default();
    let (title, rest) = head.split_once('\n').unwrap_or((head, ""));
    let title = title.strip_prefix("# ").context("the first line is no title")?.trim().to_owned();
    let field = |name: &str| {
        let line = rest.lines().find_map(|line| line.strip_prefix("- ")?.strip_prefix(name)?.strip_prefix(':'));
        line.map(|it| it.trim().to_owned()).with_context(|| format!("there is no line `- {name}: …`"))
    };
    let is_field = |line: &&str| ["- chapter:", "- minutes:", "- function:"].iter().any(|it| line.starts_with(it));
    let statement = rest.lines().filter(|line| !is_field(line)).collect::<Vec<_>>().join("\n").trim().to_owned();
    ensure!(!statement.is_empty(), "there is no statement");
    let mut hints = Vec::new();
    for section in sections {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        ensure!(!body.trim().is_empty(), "the hint `{heading}` is empty");
        hints.push((heading.trim().to_owned(), body.trim().to_owned()));
    }
    ensure!(!hints.is_empty(), "there is no hint");
    Ok(Text {
        title,
        chapter: field("chapter")?,
        minutes: field("minutes")?.parse().context("minutes")?,
        function: field("function")?,
        statement,
        hints,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "# A title\n\n- chapter: step01.md\n- minutes: 30\n- function: child\n\nDo it.\n\nAll.\n\n## Ask\n\nWhy?\n\n## Look\nThere.\n";

    #[test]
    fn a_text_has_its_parts() {
        let text = parse(TEXT).unwrap();
        assert_eq!((text.title.as_str(), text.chapter.as_str(), text.minutes), ("A title", "step01.md", 30));
        assert_eq!((text.function.as_str(), text.statement.as_str()), ("child", "Do it.\n\nAll."));
        assert_eq!(text.hints, [("Ask".into(), "Why?".into()), ("Look".into(), "There.".into())]);
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        for (cut, named) in [
            ("# A title", "title"),
            ("- minutes: 30\n", "minutes"),
            ("Do it.\n\nAll.\n", "statement"),
            ("Why?\n\n", "`Ask`"),
            ("\n## Ask\n\nWhy?\n\n## Look\nThere.\n", "no hint"),
        ] {
            let error = parse(&TEXT.replacen(cut, "", 1)).unwrap_err();
            assert!(format!("{error:#}").contains(named), "{named}: {error:#}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_exercise_or_an_error(text: String, pieces in "(# |\n## |\n- minutes:|- chapter: |\n|.){0,40}") {
            let _ = parse(&text);
            let _ = parse(&pieces);
            let _ = parse(&format!("{TEXT}{pieces}"));
        }

        #[test]
        fn what_has_all_parts_is_read(
            words in prop::collection::vec("[^\n\r]{1,20}", 3),
            minutes: u32,
            paragraphs in prop::collection::vec("[a-zé`*#]{1,20}", 1..4),
            hints in prop::collection::vec(("[a-zA-Zé` ]{0,9}[a-z]", "[^#\r]{0,20}[a-z]"), 1..4),
        ) {
            let trimmed = |text: &str| text.trim().to_owned();
            let hints: Vec<_> = hints.iter().map(|(heading, body)| (trimmed(heading), trimmed(body))).collect();
            let text = Text {
                title: trimmed(&words[0]),
                chapter: trimmed(&words[1]),
                minutes,
                function: trimmed(&words[2]),
                statement: paragraphs.join("\n\n"),
                hints,
            };
            let Text { title, chapter, function, statement, .. } = &text;
            let head = format!("# {title}\n\n- chapter: {chapter}\n- minutes: {minutes}\n- function: {function}\n\n{statement}\n");
            let hints = text.hints.iter().map(|(heading, body)| format!("\n## {heading}\n\n{body}\n"));
            prop_assert_eq!(parse(&(head + &hints.collect::<String>())).unwrap(), text);
        }
    }
}
