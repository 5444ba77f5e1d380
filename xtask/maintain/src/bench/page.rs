//! The page that the bench writes: Markdown, for the book and for a terminal.

use std::process::{Command, Stdio};

use lab::workspace;

use super::races::Measurements;

/// The page's text. Words in capitals are replaced.
const TEXT: &str = include_str!("../../bench/page.md");

/// What the figures depend on, but nothing that reveals whose machine it is: a name, and a shell command that prints the value.
const MACHINE: [(&str, &str); 6] = [
    ("date", "date -u +%Y-%m-%d"),
    ("CPU", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1"),
    ("CPUs", "nproc; grep -q -m 1 '^flags.* hypervisor' /proc/cpuinfo && echo virtual"),
    ("system", "uname -sr; . /etc/os-release; echo \"$PRETTY_NAME\""),
    ("Rust", "rustc --version"),
    ("commit", "git describe --always --dirty --exclude='*'"),
];

/// Renders the measurements by place, such as `as root`, and a line for everything that is missing on this machine.
pub fn render(mut machine: Vec<[String; 2]>, places: &[(&str, Measurements)], missing: &[String]) -> String {
    let mut tables = String::new();
    for (place, found) in places {
        let head = ["programs", "ratio", "the second, ms", "its memory, KiB"].map(str::to_owned);
        let memory = |memory: &[u64]| memory.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ");
        let rows = found.races.iter().map(|it| [it.programs.clone(), it.ratio(), it.second(), memory(&it.memory)]);
        tables += &format!("## Races {place}\n\n{}\n", table([head].into_iter().chain(rows).collect()));
    }
    machine.insert(0, ["".to_owned(), "measured on".to_owned()]);
    machine.extend(MACHINE.map(|(name, script)| [name.to_owned(), output_of(script)]));
    let missing: String = missing.iter().map(|line| format!("- {line}\n")).collect();
    TEXT.replace("MACHINE\n", &table(machine))
        .replace("RACES\n", tables.trim_start())
        .replace("MISSING\n", if missing.is_empty() { "Nothing.\n" } else { &missing })
}

/// Returns the lines that a shell command prints, joined by commas.
fn output_of(script: &str) -> String {
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", script]).current_dir(workspace::root()).stdin(Stdio::null()).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(", ")
}

/// Renders a table as Markdown. Its columns are padded, so that it is readable in a terminal as well; all but the first are
/// aligned to the right. The first row is the heading.
fn table<const N: usize>(mut rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3));
    let rule = widths.map(|width| format!("{:->width$}", ":"));
    rows.insert(1, rule);
    rows[1][0] = "-".repeat(widths[0]);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).skip(1).map(|(cell, width)| format!(" {cell:>width$} |"));
        text += &format!("| {:<2$} |{}\n", row[0], cells.collect::<String>(), widths[0]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::races::Race;
    use super::*;

    #[test]
    fn the_page_has_ratios_and_names_the_missing() {
        let pairs = vec![(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)];
        let race = Race { programs: "step04 / unshare".into(), pairs, memory: vec![2000, 1900] };
        let found = Measurements { races: vec![race], ..Default::default() };
        let machine = vec![["load".to_owned(), "0.1, 0.2".to_owned()]];
        let page = render(machine, &[("as root", found)], &["podman: `sudo apt install podman`".to_owned()]);
        assert!(page.starts_with("<!-- Written by `cargo xtask bench --write`."), "{page}");
        assert!(page.contains("| system ") && page.contains(" 0.1, 0.2 |"), "{page}");
        let row = "| step04 / unshare | 0.50 (0.50–0.50) | 4.00 (3.00–5.00) |     2000 + 1900 |\n";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("- podman: `sudo apt install podman`\n"), "{page}");
        assert!(!page.contains("MACHINE") && !page.contains("RACES") && !page.contains("MISSING"), "{page}");
    }

    #[test]
    fn a_table_is_markdown_and_its_columns_are_straight() {
        let rows = [["beside", "ratio"], ["`bwrap`", "0.9 (0.8–1)"], ["x", ""]];
        let expected = "\
| beside  |       ratio |
| ------- | ----------: |
| `bwrap` | 0.9 (0.8–1) |
| x       |             |
";
        assert_eq!(table(rows.map(|row| row.map(str::to_owned)).to_vec()), expected);
    }
}
