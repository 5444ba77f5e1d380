//! `{{#exercises step01.md}}`: the exercises that belong to a chapter. `{{#exercise-table}}`: all of them in one table.
//! `{{#diagnoses}}`: what the checks can say.

use std::fmt::Write as _;
use std::fs;

use crate::directives::Setting;
use crate::html::escape;
use crate::workshop::{self, Exercise};

/// The exercises of a chapter: each a heading, what to do, the hints folded, and how to check it.
///
/// # Errors
/// When there are none, or one is wrong.
pub fn render(setting: &Setting<'_>, chapter: &str) -> Result<String, String> {
    let mut exercises = all(setting)?;
    exercises.retain(|exercise| exercise.chapter == chapter);
    if exercises.is_empty() {
        return Err(format!("no exercise in {} belongs to the chapter `{chapter}`", workshop::TEXTS));
    }
    Ok(exercises.iter().map(block).collect::<Vec<_>>().join("\n"))
}

fn block(exercise: &Exercise) -> String {
    let Exercise { number, id, title, minutes, statement, hints, .. } = exercise;
    let mut block = format!("### Exercise {number}, `{id}`: {title} {{#{}}}\n\n", exercise.anchor());
    let _ = write!(block, "*About {minutes} minutes.* {statement}\n\n");
    for (index, (heading, hint)) in hints.iter().enumerate() {
        let summary = format!("Hint {}: {}", index + 1, escape(heading));
        let _ = write!(block, "<details><summary>{summary}</summary>\n\n{hint}\n\n</details>\n\n");
    }
    let _ = writeln!(
        block,
        "Check it: `cargo xtask check {id}`. The change itself, should you want it: `cargo xtask hint {id} --all`."
    );
    block
}

/// A table of all exercises, with their chapters.
///
/// # Errors
/// When one is wrong.
pub fn render_table(setting: &Setting<'_>) -> Result<String, String> {
    let mut table = "| | name | what | minutes |\n|---:|---|---|---:|\n".to_owned();
    for exercise in all(setting)? {
        let Exercise { number, id, title, chapter, minutes, .. } = &exercise;
        let link = format!("[{}]({chapter}#{})", cell(title), exercise.anchor());
        let _ = writeln!(table, "| {number} | `{id}` | {link} | {minutes} |");
    }
    Ok(table)
}

/// A table of all diagnoses, with the sections that explain them.
///
/// # Errors
/// When the table of them can't be read, or names a section that is not there.
pub fn render_diagnoses(setting: &Setting<'_>) -> Result<String, String> {
    let mut table = "| name | what may be behind it | read |\n|---|---|---|\n".to_owned();
    for diagnosis in workshop::diagnoses(setting.places)? {
        let section = &diagnosis.section;
        let heading =
            heading(setting, section).map_err(|why| format!("{}:{}: {why}", workshop::DIAGNOSES, diagnosis.line))?;
        let _ = writeln!(
            table,
            "| `{}` | {} | [{}]({section}) |",
            diagnosis.id,
            cell(&diagnosis.misconception),
            cell(&heading)
        );
    }
    Ok(table)
}

/// The words of a heading: of the chapter and, if that is another, of the section that `step01.md#why` names.
fn heading(setting: &Setting<'_>, section: &str) -> Result<String, String> {
    let (chapter, id) = section.split_once('#').ok_or_else(|| format!("`{section}` names no section"))?;
    let file = setting.places.book().join("text").join(chapter);
    let text = fs::read_to_string(file).map_err(|_| format!("there is no chapter {chapter}"))?;
    let mut headings = text.lines().filter_map(|line| {
        let words = line.trim_start_matches('#');
        (words.len() < line.len()).then(|| words.strip_prefix(' ')).flatten()
    });
    let title = headings.next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let end = format!("{{#{id}}}");
    let found = headings.find_map(|words| words.strip_suffix(&end));
    found.map(|words| format!("{title}: {}", words.trim())).ok_or_else(|| format!("{chapter} has no heading {end}"))
}

fn all(setting: &Setting<'_>) -> Result<Vec<Exercise>, String> {
    workshop::exercises(setting.places).map_err(|problems| problems.to_string().trim().replace('\n', "; "))
}

/// Plain text in a cell of a table. What stands between backticks is code in both.
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

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_stays_one() {
        assert_eq!(cell("MS_A|MS_B, `a_b|<c>` and [x]"), "MS\\_A\\|MS\\_B, `a_b\\|<c>` and \\[x\\]");
    }
}
