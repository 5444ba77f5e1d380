//! The table in the book.

use std::fs;

use anyhow::{Context, Result};
use lab::workspace;

use super::{Answer, Machine};

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
    let (_, after) = rest.split_once(&end).with_context(|| format!("{PAGE} has no {end}"))?;
    let part = render(machine, kernel, answers);
    fs::write(&path, format!("{before}{begin}{part}{end}{after}")).with_context(|| format!("writing {PAGE}"))?;
    eprintln!("machines: wrote {PAGE}");
    Ok(())
}

/// Renders a heading, and a table for each part: a line for each command, and a column for everyone who ran it.
fn render(machine: &Machine, kernel: &str, answers: &[Answer]) -> String {
    let mut text = format!("#### {}, Linux {kernel} {{#{}}}\n", machine.title, machine.name);
    let mut rest = answers;
    while let Some(first) = rest.first() {
        let (part, others) = rest.split_at(rest.iter().take_while(|it| it.part == first.part).count());
        rest = others;
        let mut columns: Vec<&str> = Vec::new();
        let mut rows: Vec<&str> = Vec::new();
        for it in part {
            if !columns.contains(&it.who) {
                columns.push(it.who);
            }
            if !rows.contains(&&*it.command) {
                rows.push(&it.command);
            }
        }
        text += &format!("\n| {} | {} |\n|{}\n", first.part, columns.join(" | "), "---|".repeat(columns.len() + 1));
        for row in rows {
            let cells = columns.iter().map(|who| {
                let answer = part.iter().find(|it| it.who == *who && it.command == row);
                answer.map_or_else(
                    || "–".to_owned(),
                    |it| if it.is_right { cell(&it.answer) } else { format!("**{}**", cell(&it.answer)) },
                )
            });
            let row = if row.contains('`') { row.to_owned() } else { format!("`{}`", row.replace('|', "\\|")) };
            text += &format!("| {row} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    text + "\n"
}

/// Makes text safe in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_who_ran_a_command_has_a_column() {
        let answer = |who, command: &str, answer: &str, is_right| Answer {
            part: "The steps",
            who,
            command: command.into(),
            answer: answer.into(),
            is_right,
        };
        let answers = [
            answer("user", "a | b", "1, status 0", true),
            answer("root", "a | b", "2 < 3", false),
            answer("root", "c", "4", true),
        ];
        let machine = Machine { name: "m", title: "M", suite: "s" };
        let table = "\n| The steps | user | root |\n|---|---|---|\n| `a \\| b` | 1, status 0 | **2 &lt; 3** |\n| `c` | – | 4 |\n\n";
        assert_eq!(render(&machine, "6", &answers), format!("#### M, Linux 6 {{#m}}\n{table}"));
    }
}
