//! Directives: lines of the text such as `{{#listing step02-pid/src/main.rs#parent}}`, replaced by what they name.
//!
//! A directive stands alone on its line, and may be indented to lie in a list item. `\{{#…}}` shows one instead. mdBook's own
//! (`{{#include}}` and so on) are unknown here: they put in nothing at all, without a word, when what they name has moved.

use std::fmt::Write as _;

use crate::places::Places;
use crate::problem::Problem;

pub mod compare;
pub mod diagram;
pub mod exercises;
pub mod listing;
pub mod stepdiff;
pub mod transcript;

/// What directives are resolved against.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Where paths count from.
    pub places: &'a Places,
    /// The repository's address on the web, for links to sources.
    pub repository: Option<&'a str>,
}

/// A chapter with its directives replaced.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// Markdown, for mdBook.
    pub text: String,
    /// For each line of that, the line (counted from 1) that it comes from.
    pub lines: Vec<usize>,
    /// How many `{{#` readers are meant to see.
    pub braces: usize,
}

/// Replaces every directive of a chapter, the text of `file`. What can't be is pushed to `problems`.
pub fn replace(setting: &Setting<'_>, file: &str, text: &str, problems: &mut Vec<Problem>) -> Replaced {
    let mut replaced = Replaced { text: String::with_capacity(text.len()), lines: Vec::new(), braces: 0 };
    let mut fence: Option<String> = None;
    // Where the code block began that has nothing in it so far.
    let mut empty_since = None;
    for (index, line) in text.lines().enumerate() {
        let before = replaced.text.len();
        let in_fence = fence.is_some();
        follow_fence(&mut fence, line);
        match (in_fence, &fence) {
            (false, Some(_)) => empty_since = Some(index),
            (true, Some(_)) if !line.trim().is_empty() => empty_since = None,
            (true, None) => {
                problems.extend(empty_since.map(|start| Problem::at(file, start + 1, "an empty code block")))
            }
            _ => {}
        }
        let mut wrong = |message: String| problems.push(Problem::at(file, index + 1, message));
        match directive(line) {
            Some(_) if in_fence => {
                wrong("a directive in a code block is not replaced; write \\{{# to show one".to_owned());
            }
            Some((indent, name, argument)) => match resolve(setting, name, argument) {
                Ok(block) => {
                    replaced.braces += block.matches("{{#").count();
                    // For the translation, which must not ask for what was not written. A blank line ends the HTML block.
                    for line in ["<!-- i18n:skip -->"].into_iter().chain(block.lines()).chain([""]) {
                        let _ = writeln!(replaced.text, "{}{line}", if line.is_empty() { "" } else { indent });
                    }
                }
                Err(message) => wrong(message),
            },
            None => {
                const SHOWN: &str = "\\{{#";
                // A blank, so that what is left around it does not become one.
                let others = line.replace(SHOWN, " ");
                if let Some(found) = braces(&others) {
                    wrong(format!("`{found}` must stand alone on its line; write \\{{{{# to show a directive"));
                }
                replaced.braces += line.matches(SHOWN).count();
                let _ = writeln!(replaced.text, "{}", line.replace(SHOWN, "{{#"));
            }
        }
        let added = replaced.text[before..].lines().count();
        replaced.lines.resize(replaced.lines.len() + added, index + 1);
    }
    replaced
}

/// The fenced code block that the text is in after `line`: its opening run of backticks or tildes.
fn follow_fence(fence: &mut Option<String>, line: &str) {
    let line = line.trim_start_matches([' ', '>']);
    let run = |mark: char| line.chars().take_while(|c| *c == mark).collect::<String>();
    let (ticks, tildes) = (run('`'), run('~'));
    match fence {
        Some(open) => {
            let closing = if open.starts_with('`') { ticks } else { tildes };
            if closing.len() >= open.len() && line[closing.len()..].trim().is_empty() {
                *fence = None;
            }
        }
        // Backticks that come again on the line are inline code.
        None if ticks.len() >= 3 && !line[ticks.len()..].contains('`') => *fence = Some(ticks),
        None if tildes.len() >= 3 => *fence = Some(tildes),
        None => {}
    }
}

/// The line's indentation, and the name and argument of the directive that it is.
fn directive(line: &str) -> Option<(&str, &str, &str)> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let inner = line.trim().strip_prefix("{{#")?.strip_suffix("}}")?;
    if inner.contains("}}") {
        return None;
    }
    let (name, argument) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    Some((indent, name, argument.trim()))
}

/// What looks like a directive to mdBook, which also takes `{{ #`.
fn braces(line: &str) -> Option<&str> {
    // Each place, for in `{{{#` there are two.
    let mut places = line.char_indices().map(|(at, _)| &line[at..]);
    places.find(|rest| rest.strip_prefix("{{").is_some_and(|inner| inner.trim_start().starts_with('#')))
}

fn resolve(setting: &Setting<'_>, name: &str, argument: &str) -> Result<String, String> {
    match name {
        "listing" => listing::render(setting, argument),
        "transcript" => transcript::render(setting, argument),
        "stepdiff" => stepdiff::render(setting, argument),
        "diagram" => diagram::render(setting, argument),
        "exercises" => exercises::render(setting, argument),
        "compare" | "exercise-table" | "diagnoses" if !argument.is_empty() => {
            Err(format!("`{name}` takes no argument"))
        }
        "compare" => compare::render(setting),
        "exercise-table" => exercises::render_table(setting),
        "diagnoses" => exercises::render_diagnoses(setting),
        "include" | "rustdoc_include" | "playground" | "title" => Err(format!(
            "mdBook's own `{name}` passes over what it can't find; use `listing`, or say what you need in book/src/directives.rs"
        )),
        _ => Err(format!(
            "there is no directive `{name}`; there are listing, transcript, stepdiff, diagram, compare, exercises, \
             exercise-table and diagnoses"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replaced(text: &str) -> (Replaced, Vec<Problem>) {
        let places = Places { root: "/nowhere".into() };
        let mut problems = Vec::new();
        let replaced = replace(&Setting { places: &places, repository: None }, "x.md", text, &mut problems);
        (replaced, problems)
    }

    #[test]
    fn a_backslash_shows_a_directive() {
        let (replaced, problems) = replaced("```text\n\\{{#listing a}}\n```\nas `\\{{#diagram b}}` does\n");
        assert_eq!(replaced.text, "```text\n{{#listing a}}\n```\nas `{{#diagram b}}` does\n");
        assert_eq!((replaced.braces, problems), (2, vec![]));
    }

    #[test]
    fn a_directive_stands_alone_and_in_no_code_block() {
        let text =
            "see {{#listing a}}\n\n```rust\n{{#listing a}}\n```\n\n{{ #include a}}\n\n{{#listing a}} {{#listing b}}\n";
        let (_, problems) = replaced(text);
        assert_eq!(
            problems.iter().map(|problem| problem.line).collect::<Vec<_>>(),
            [Some(1), Some(4), Some(7), Some(9)]
        );
    }

    #[test]
    fn fences_end_where_markdown_ends_them() {
        let after = |text: &str| {
            let mut fence = None;
            text.lines().for_each(|line| follow_fence(&mut fence, line));
            fence
        };
        assert_eq!(after("````\n```\n~~~\n````"), None);
        assert_eq!(after("~~~\n```\n"), Some("~~~".to_owned()));
        assert_eq!(after("```` ```a``` ````"), None);
        assert_eq!(after("  ```rust"), Some("```".to_owned()));
    }

    /// Pieces of what means something here, and of what means nothing.
    const PIECES: &str = "(\\{\\{#|\\}\\}|\\\\|\\{\\{ |listing |transcript |stepdiff |diagram |compare|a/b.rs|#|:|\n|\n```|~~~|````|>|  |é|.){0,30}";

    proptest! {
        #[test]
        fn any_text_is_a_chapter_or_has_problems(text in PIECES) {
            let (replaced, problems) = replaced(&text);
            let lines = text.lines().count();
            prop_assert!(problems.iter().all(|problem| problem.line.is_some_and(|line| (1..=lines).contains(&line))));
            // Nothing can be put in here, so what has no problem is as it was.
            if problems.is_empty() {
                let as_written = text.lines().map(|line| format!("{line}\n")).collect::<String>();
                prop_assert_eq!(&replaced.text, &as_written.replace("\\{{#", "{{#"));
                prop_assert_eq!(replaced.braces, replaced.text.matches("{{#").count());
            }
        }

        #[test]
        fn any_argument_is_resolved_or_refused(name in "listing|transcript|stepdiff|diagram|compare", argument in "\\PC{0,20}") {
            let places = Places { root: "/nowhere".into() };
            let setting = Setting { places: &places, repository: None };
            prop_assert!(resolve(&setting, &name, &argument).is_err());
        }
    }
}
