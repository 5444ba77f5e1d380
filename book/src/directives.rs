//! Directives: lines of the text, such as `{{#listing step02-pid/src/main.rs#run}}`, that are replaced by what they name.
//!
//! A directive stands alone on its line, and may be indented to be part of a list item. `\{{#…}}` shows one instead. mdBook's
//! own (`{{#include}}` and others) are refused: if what they name has moved, they insert nothing and don't report it.

use std::ops::RangeInclusive;

use anyhow::{Result, anyhow, bail};

use crate::live;
use crate::markdown;
use crate::problem::Problem;
use crate::workspace::Workspace;

mod compare;
pub mod container;
mod diagram;
mod diff;
mod essence;
pub mod exercises;
mod languages;
mod listing;
pub mod transcript;

/// Begins a block of commands to type.
const CONSOLE: &str = "```console";

/// A chapter with its directives replaced.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// The file, as problems name it.
    pub file: String,
    /// Markdown, for mdBook.
    pub text: String,
    /// For each line of the text, the line (counted from 1) of the file that it comes from.
    pub lines: Vec<usize>,
}

/// Replaces all directives of the text of `file`. The ones that can't be replaced are pushed to `problems`.
pub fn replace(workspace: &Workspace, file: &str, text: &str, problems: &mut Vec<Problem>) -> Chapter {
    let mut chapter = Chapter { file: file.to_owned(), text: String::new(), lines: Vec::new() };
    let code = markdown::positions(text).code;
    let empty = code.iter().filter(|(_, is_empty)| *is_empty);
    problems.extend(empty.map(|(lines, _)| Problem::new(file, *lines.start(), "an empty code block")));
    let all: Vec<&str> = text.lines().collect();
    let is_console = |lines: &RangeInclusive<usize>| all[lines.start() - 1].trim() == CONSOLE;
    for (number, line) in (1..).zip(text.lines()) {
        let block = code.iter().map(|(lines, _)| lines).find(|lines| lines.contains(&number));
        let lines = match directive(line) {
            Some(_) if block.is_some() => {
                Err(anyhow!("a directive in a code block is not replaced; write \\{{{{# to show one"))
            }
            Some((indent, name, argument)) => resolve(workspace, name, argument).map(|block| inserted(indent, &block)),
            None if let Some(block) = block.filter(|it| is_console(it)) => {
                if number > *block.start() {
                    continue;
                }
                // The fence at the end may be missing.
                let inside = all[number..*block.end()].iter().map(|line| line.trim()).filter(|line| *line != "```");
                let indent = &line[..line.len() - line.trim_start().len()];
                transcript::commands(workspace, &inside.collect::<Vec<_>>()).map(|block| inserted(indent, &block))
            }
            None => shown(line).map(|line| vec![line]),
        };
        match lines {
            Ok(lines) => {
                chapter.lines.extend(lines.iter().map(|_| number));
                chapter.text.extend(lines.into_iter().map(|line| line + "\n"));
            }
            Err(error) => problems.push(Problem::new(file, number, format!("{error:#}"))),
        }
    }
    chapter
}

/// Returns the lines of a block that replaces a line. The comment is for translations: they must not translate what nobody wrote.
/// The empty line ends the HTML block.
fn inserted(indent: &str, block: &str) -> Vec<String> {
    let lines = ["<!-- i18n:skip -->"].into_iter().chain(block.lines()).chain([""]);
    lines.map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") }).collect()
}

/// Returns the line's indentation, and the name and the argument of the directive that it is.
fn directive(line: &str) -> Option<(&str, &str, &str)> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let inner = line.trim().strip_prefix("{{#")?.strip_suffix("}}")?;
    let (name, argument) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    (!inner.contains("}}")).then_some((indent, name, argument.trim()))
}

/// Returns a line without directives as it is shown.
fn shown(line: &str) -> Result<String> {
    const ESCAPED: &str = "\\{{#";
    // A space, so that what is left around it doesn't become a directive. mdBook also accepts `{{ #`.
    let rest = line.replace(ESCAPED, " ");
    let is_directive = |at: &usize| rest[*at..].strip_prefix("{{").is_some_and(|it| it.trim_start().starts_with('#'));
    if let Some(at) = (0..rest.len()).filter(|at| rest.is_char_boundary(*at)).find(is_directive) {
        bail!("`{}` must stand alone on its line; write \\{{{{# to show a directive", &rest[at..]);
    }
    Ok(line.replace(ESCAPED, "{{#"))
}

fn resolve(workspace: &Workspace, name: &str, argument: &str) -> Result<String> {
    match name {
        "listing" => listing::render(workspace, argument),
        "transcript" => transcript::render(workspace, argument),
        "essence" => essence::render(workspace, argument),
        "languages" => languages::render(workspace, argument),
        "stepdiff" => diff::render(workspace, argument),
        "container" => container::render(workspace, argument),
        "diagram" => diagram::render(workspace, argument),
        "exercises" => exercises::render(workspace, argument),
        "solution" => exercises::render_solution(workspace, argument),
        "compare" | "exercise-table" | "diagnoses" | "codespace" | "machine" | "without-machine"
            if !argument.is_empty() =>
        {
            bail!("`{name}` takes no argument")
        }
        "compare" => compare::render(workspace),
        "machine" => live::render(workspace),
        "without-machine" => Ok(live::render_missing(workspace)),
        // A link to a machine that is ready, where the repository is on GitHub.
        "codespace" => Ok(workspace.repository.as_ref().map_or_else(String::new, |it| {
            let name = it.trim_start_matches("https://github.com/");
            format!("[Open this repository in a codespace](https://codespaces.new/{name}).")
        })),
        "exercise-table" => exercises::render_table(workspace),
        "diagnoses" => exercises::render_diagnoses(workspace),
        "include" | "rustdoc_include" | "playground" | "title" => {
            bail!("mdBook's own `{name}` doesn't report what it can't find; use `listing`")
        }
        _ => bail!("there is no directive `{name}`; CONTRIBUTING.md lists them"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replaced(text: &str) -> (Chapter, Vec<Problem>) {
        let mut problems = Vec::new();
        let chapter = replace(&Workspace::at("/nowhere"), "x.md", text, &mut problems);
        (chapter, problems)
    }

    #[test]
    fn a_backslash_shows_a_directive() {
        let (chapter, problems) = replaced("```text\n\\{{#listing a}}\n```\nas `\\{{#diagram b}}` does\n");
        assert_eq!(chapter.text, "```text\n{{#listing a}}\n```\nas `{{#diagram b}}` does\n");
        assert_eq!(problems, []);
    }

    #[test]
    fn a_directive_stands_alone_and_outside_of_code_blocks() {
        let text = "see {{#listing a}}\n\n````rust\n```\n{{#listing a}}\n````\n\n{{ #include a}}\n\n\
            {{#listing a}} {{#listing b}}\n\n    {{#listing a}}\n";
        let (_, mut problems) = replaced(text);
        problems.retain(|problem| problem.message.contains("alone") || problem.message.contains("code block"));
        assert_eq!(problems.iter().filter_map(|problem| problem.line).collect::<Vec<_>>(), [1, 5, 8, 10, 12]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_chapter_or_has_problems(
            text in "(\\{\\{#|\\}\\}|\\\\|\\{\\{ |listing |stepdiff |solution |compare|a/b.rs|#|:|\n|\n```|\n```console|\\$ |~~~|>|  |<a |\u{e9}|.){0,30}",
        ) {
            let (chapter, problems) = replaced(&text);
            let lines = text.lines().count();
            prop_assert!(problems.iter().all(|problem| problem.line.is_some_and(|line| (1..=lines).contains(&line))));
            // There is nothing to insert in here, so a text without problems stays as it is.
            if problems.is_empty() && !text.contains(CONSOLE) {
                let as_written: String = text.lines().map(|line| format!("{line}\n")).collect();
                prop_assert_eq!(chapter.text, as_written.replace("\\{{#", "{{#"));
            }
        }
    }
}
