//! `{{#exercises step01.md}}`: the exercises of a chapter. `{{#solution uts}}`: a solution, folded, complete and as a difference.
//! `{{#exercise-table}}`: all exercises. `{{#diagnoses}}`: all diagnoses.

use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow, ensure};
use exercises::{DIAGNOSES, EXERCISES, Exercise};

use crate::directives::{diff, listing};
use crate::html::escape;
use crate::problem::Problem;
use crate::workspace::Workspace;

/// Returns the exercises of a chapter. Each has a heading, the statement, the folded hints, and the command that checks it.
pub fn render(workspace: &Workspace, chapter: &str) -> Result<String> {
    let all = workspace.exercises()?.iter().filter(|exercise| exercise.chapter == chapter);
    let mut block = String::new();
    for Exercise { order, id, title, minutes, statement, hints, languages, .. } in all {
        let _ = write!(block, "### Exercise {order}, `{id}`: {title} {{#exercise-{id}}}\n\n");
        let _ = write!(block, "*About {minutes} minutes.* {statement}\n\n");
        for (number, (heading, hint)) in (1..).zip(hints) {
            let summary = format!("Hint {number}: {}", escape(heading));
            let _ = write!(block, "<details><summary>{summary}</summary>\n\n{hint}\n\n</details>\n\n");
        }
        for (language, hint) in languages {
            let title = language.title();
            let _ = write!(block, "<details><summary>In {title}</summary>\n\n{hint}\n\n</details>\n\n");
        }
        let _ = write!(
            block,
            "Check it with `cargo xtask check {id}`. `cargo xtask hint {id} --all` shows the solution as a change.\n\n"
        );
    }
    ensure!(!block.is_empty(), "no exercise in {EXERCISES} belongs to the chapter `{chapter}`");
    Ok(block)
}

/// Returns the solution of an exercise, folded: the complete program, and the difference from the starter if there is one.
pub fn render_solution(workspace: &Workspace, id: &str) -> Result<String> {
    let all = workspace.exercises()?;
    let exercise = all.iter().find(|it| it.id == id).with_context(|| format!("there is no exercise `{id}`"))?;
    let starter = exercise.starter(&workspace.root)?.replace("\r\n", "\n");
    let solution = exercise.solution(&workspace.root)?.replace("\r\n", "\n");
    let code = listing::code_block("rust", &solution);
    let mut block = format!("<details><summary>A solution of <code>{id}</code></summary>\n\n{code}\n\n</details>\n");
    // The headers differ because they introduce different programs.
    let body = |source| {
        let body = exercises::without_header(source);
        (body, source.lines().count() - body.lines().count())
    };
    let (names, hunks) = (["starter", "solution"], diff::hunks(body(&starter), body(&solution)));
    if let Ok(difference) = diff::block(&names.map(|name| format!("the {name} of {id}")), "", &hunks) {
        let summary = format!("The difference from the starter of <code>{id}</code>");
        let _ = write!(block, "\n<details><summary>{summary}</summary>\n\n{difference}\n\n</details>\n");
    }
    Ok(block)
}

/// Returns a table of all exercises, with links to their chapters.
pub fn render_table(workspace: &Workspace) -> Result<String> {
    let mut table = "| | name | exercise | minutes |\n|---:|---|---|---:|\n".to_owned();
    for Exercise { order, id, title, chapter, minutes, .. } in workspace.exercises()? {
        let _ = writeln!(table, "| {order} | `{id}` | [{}]({chapter}#exercise-{id}) | {minutes} |", cell(title));
    }
    Ok(table)
}

/// Returns a table of all diagnoses, with links to the sections that explain them.
pub fn render_diagnoses(workspace: &Workspace) -> Result<String> {
    let mut table = "| name | usual cause, and what to do | explained in |\n|---|---|---|\n".to_owned();
    for it in exercises::diagnoses(&workspace.root)? {
        let heading = heading(workspace, &it.section).with_context(|| format!("{DIAGNOSES}:{}", it.line))?;
        let _ = writeln!(table, "| `{}` | {} | [{}]({}) |", it.id, cell(&it.text), cell(&heading), it.section);
    }
    Ok(table)
}

/// Returns the exercises that no chapter shows. A workspace without exercises has none.
pub fn not_shown(workspace: &Workspace, chapters: &[&str]) -> Result<Vec<Problem>> {
    if !workspace.root.join(EXERCISES).exists() {
        return Ok(Vec::new());
    }
    let mut problems = Vec::new();
    for Exercise { id, chapter, .. } in workspace.exercises()? {
        let directive = format!("{{{{#exercises {chapter}}}}}");
        if !chapters.iter().any(|text| text.lines().any(|line| line.trim() == directive)) {
            let file = format!("{EXERCISES}/{id}/text.md");
            let text = workspace.read(&file)?;
            let line = text.lines().position(|line| line.starts_with("chapter:")).map(|index| index + 1);
            problems.push(Problem::new(file, line, format!("no chapter shows it: there is no line {directive}")));
        }
    }
    Ok(problems)
}

/// Returns the words of the headings of the chapter and of the section that `step01.md#why` names.
fn heading(workspace: &Workspace, section: &str) -> Result<String> {
    let (chapter, id) = section.split_once('#').with_context(|| format!("`{section}` names no section"))?;
    let text = workspace.read(&format!("book/text/{chapter}")).map_err(|_| anyhow!("there is no chapter {chapter}"))?;
    let mut headings =
        text.lines().filter_map(|line| line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' '));
    let title = headings.next().and_then(|title| title.split(':').next()).unwrap_or_default();
    let end = format!("{{#{id}}}");
    let words = headings.find_map(|words| words.strip_suffix(&end));
    words.map(|words| format!("{title}: {}", words.trim())).with_context(|| format!("{chapter} has no heading {end}"))
}

/// Returns plain text for a cell of a table. Between backticks it is code in both.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        in_code ^= c == '`';
        if c == '|' || !in_code && matches!(c, '<' | '*' | '_' | '[' | ']' | '\\' | '&') {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}
