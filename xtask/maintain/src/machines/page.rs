//! The table in the book.

use std::fs;

use anyhow::{Context, Result};
use lab::workspace;

use super::{Answer, FINALE, Machine, PARTS};

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
        let begins = [format!("| {part} |"), format!("**{part}**")];
        let old = || old.split("\n\n").find(|it| begins.iter().any(|begin| it.trim_start().starts_with(begin)));
        let table = if answers.is_empty() { old().map(|it| it.trim().to_owned()) } else { Some(table(&answers)) };
        text.extend(table.map(|table| format!("\n{table}\n")));
    }
    text + "\n"
}

/// Renders a part: a row for each command, and a column for everyone who ran it; or one line, if most answers are the same.
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
    let first = answers[0];
    let others: Vec<&&Answer> = answers.iter().filter(|it| !it.is_right || it.answer != first.answer).collect();
    if rows.len() > 1 && others.len() * 10 <= answers.len() {
        let usual = cell(&first.answer);
        let others = others.iter().map(|it| format!("; `{}` as {}: {}", it.command, it.who, cell(&it.answer)));
        let others: String = others.collect();
        return format!("**{}** ({}, {}): {usual}{others}", first.part, rows.len(), columns.join(" and "));
    }
    let mut text = format!("| {} | {} |\n|{}", first.part, columns.join(" | "), "---|".repeat(columns.len() + 1));
    for row in rows {
        let of = |who: &str| answers.iter().find(|it| it.who == who && it.command == row);
        let cells = columns.iter().enumerate().map(|(at, who)| match (of(who), of(columns[0])) {
            (None, _) => "–".to_owned(),
            (Some(it), _) if !it.is_right => format!("**{}**", cell(&it.answer)),
            (Some(it), Some(first)) if at > 0 && it.answer == first.answer => "the same".to_owned(),
            (Some(it), _) => cell(it.answer.strip_suffix(", status 0").unwrap_or(&it.answer)),
        });
        // A command, or a name.
        let is_command = row.starts_with("./") || row.starts_with("podman ") || first.part == FINALE;
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
        let machine = Machine { name: "m", title: "M", suite: "s", more: "", need_root: &[] };
        let steps = [
            answer("The steps", "user", "./a | b", "1, status 0", true),
            answer("The steps", "root", "./a | b", "2 < 3", false),
            answer("The steps", "user", "c", "4, status 5", true),
            answer("The steps", "root", "c", "4, status 5", true),
            answer("The steps", "root", "d", "6", true),
        ];
        let first = render(&machine, "6", &steps, "");
        let table = "| The steps | user | root |\n|---|---|---|\n| `./a \\| b` | 1 | **2 &lt; 3** |\n| c | 4, status 5 | the same |\n| d | – | 6 |\n";
        assert_eq!(first, format!("### M, Linux 6 {{#m}}\n\n{table}\n"));
        let second = render(&machine, "7", &[answer("Restrictions", "run", "x", "y", true)], &first);
        assert_eq!(
            second,
            format!("### M, Linux 7 {{#m}}\n\n{table}\n| Restrictions | run |\n|---|---|\n| x | y |\n\n")
        );
        let mut alike: Vec<Answer> =
            (0..9).map(|it| answer("The solutions", "user", &it.to_string(), "0", true)).collect();
        alike.push(answer("The solutions", "user", "9", "77", false));
        let third = render(&machine, "8", &alike, &second);
        assert!(third.ends_with("| x | y |\n\n**The solutions** (10, user): 0; `9` as user: 77\n\n"), "{third}");
        assert_eq!(render(&machine, "8", &[], &third), third);
    }
}
