//! `{{#languages uts step01-uts/src/main.rs#run}}`: the essence of a program in Rust, and the same functions of an exercise's solution
//! in the other languages. `theme/languages.js` shows one at a time; without it, the others are folded.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use exercises::Language;

use crate::directives::{essence, listing};
use crate::workspace::Workspace;

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, argument: &str) -> Result<String> {
    let (id, essential) = argument.split_once(' ').context("`languages` takes an exercise and what `essence` takes")?;
    let rust = essence::render(workspace, essential)?;
    let names = essential.split_once('#').map(|(_, rest)| rest.split(" without ").next().unwrap_or(rest));
    let names: Vec<&str> = names.unwrap_or_default().split(',').map(str::trim).collect();
    let all = workspace.exercises()?;
    let exercise = all.iter().find(|it| it.id == id).with_context(|| format!("there is no exercise `{id}`"))?;
    let mut block = format!("<div class=\"languages\">\n<div data-language=\"Rust\">\n\n{rust}\n\n</div>\n");
    for language in Language::ALL.into_iter().filter(|it| *it != Language::Rust) {
        let Some(source) = exercise.solution_in(&workspace.root, all, language)? else { continue };
        let functions: Vec<&str> = names.iter().filter_map(|name| language.function(&source, name)).collect();
        // A script in the shell is short enough.
        let code = if functions.is_empty() { source.clone() } else { functions.join("\n") };
        ensure!(
            functions.len() == names.len() || language == Language::Shell,
            "the solution of {id} in {} lacks one of the functions {}",
            language.title(),
            names.join(", ")
        );
        let title = language.title();
        let code = listing::code_block(&title.to_lowercase(), &code);
        let summary = format!("The same in {title}");
        let _ =
            write!(block, "<details data-language=\"{title}\"><summary>{summary}</summary>\n\n{code}\n\n</details>\n");
    }
    Ok(block + "</div>")
}
