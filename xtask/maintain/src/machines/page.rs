//! The table in the book.

use std::fs;

use anyhow::{Context, Result};
use lab::workspace;

use super::{Answer, Machine, PARTS};

const PAGE: &str = "book/text/proven.md";

/// Replaces a machine's part of the page, which is between two comments.
///
/// # Errors
/// If the page has no such part.
pub fn write(machine: &Machine, kernel: &str, answers: &[Answer]) -> Result<()> {
    let path = workspace::root().join(PAGE);
    let page = fs::read_to_string(&path).context(PAGE)?;
    let (begin, end) = (format!("<!-- machine {} -->\n", machine.name), format!("<!-- end of {} -->", machine.name));
    let (before, rest) = page.split_once(&begin).with_context(|| format!("{PAGE} has no {}", begin.trim()))?;
    let (old, after) = rest.split_once(&end).with_context(|| format!("{PAGE} has no {end}"))?;
    let part = render(machine, kernel, answers, old);
    fs::write(&path, format!("{before}{begin}{part}{end}{after}")).with_context(|| format!("writing {PAGE}"))?;
    eprintln!("machines: wrote {PAGE}");
    Ok(())
}

/// Renders a heading, and a table for each part that was run. The others stay as they were.
fn render(machine: &Machine, kernel: &str, answers: &[Answer], old: &str) -> String {
    let mut text = format!("### {}, Linux {kernel} {{#{}}}\n", machine.title, machine.name);
    for part in PARTS {
        let answers: Vec<&Answer> = answers.iter().filter(|it| it.part == part).collect();
        let old = || old.split("\n\n").find(|it| it.trim_start().starts_with(&format!("| {part} |")));
        let table = if answers.is_empty() { old().map(|it| it.trim().to_owned()) } else { Some(table(&answers)) };
        text.extend(table.map(|table| format!("\n{table}\n")));
    }
    text + "\n"
}

/// Renders a part: a line for each command, and a column for everyone who ran it.
fn table(answers: &[&Answer]) -> String {
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for it in answers {
        if !columns.contains(&it.who) {
            columns.push(it.who);
        }
        if !rows.contains(&&*it.command) {
            rows.push(&*it.command);
        }
    }
    let mut text = format!("| {} | {} |\n|{}", answers[0].part, columns.join(" | "), "---|".repeat(columns.len() + 1));
    for row in rows {
        let cells = columns.iter().map(|who| {
            let answer = answers.iter().find(|it| it.who == *who && it.command == row);
            answer.map_or_else(
                || "–".to_owned(),
                |it| if it.is_right { cell(&it.answer) } else { format!("**{}**", cell(&it.answer)) },
            )
        });
        // A command, or a name.
        let is_command = row.starts_with("./") || row.starts_with("podman ");
        let row = if is_command { format!("`{}`", row.replace('|', "\\|")) } else { cell(row) };
        text += &format!("\n| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Makes text safe in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_not_run_keeps_its_table() {
        let answer = |part, who, command: &str, answer: &str, is_right| Answer {
            part,
            who,
            command: command.into(),
            answer: answer.into(),
            is_right,
        };
        let machine = Machine { name: "m", title: "M", suite: "s" };
        let steps = [
            answer("The steps", "user", "./a | b", "1, status 0", true),
            answer("The steps", "root", "./a | b", "2 < 3", false),
            answer("The steps", "root", "c", "4", true),
        ];
        let first = render(&machine, "6", &steps, "");
        let table =
            "| The steps | user | root |\n|---|---|---|\n| `./a \\| b` | 1, status 0 | **2 &lt; 3** |\n| c | – | 4 |\n";
        assert_eq!(first, format!("### M, Linux 6 {{#m}}\n\n{table}\n"));
        let second = render(&machine, "7", &[answer("Restrictions", "run", "x", "y", true)], &first);
        assert_eq!(
            second,
            format!("### M, Linux 7 {{#m}}\n\n{table}\n| Restrictions | run |\n|---|---|\n| x | y |\n\n")
        );
    }
}
