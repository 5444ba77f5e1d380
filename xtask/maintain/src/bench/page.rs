//! The page that the bench writes: Markdown, for the book and for a terminal.

use std::process::{Command, Stdio};

use lab::workspace;

use super::chart::{self, Axis, Bar};
use super::races::{Measurements, Quartiles, Race};

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

/// Renders the measurements by place, such as `as root`, and a line for everything that is missing on this machine. The book has
/// charts, with the tables folded.
pub fn render(
    mut machine: Vec<[String; 2]>,
    places: &[(&str, Measurements)],
    missing: &[String],
    book: bool,
) -> String {
    machine.insert(0, ["".to_owned(), "measured on".to_owned()]);
    machine.extend(MACHINE.map(|(name, script)| [name.to_owned(), output_of(script)]));
    let races: String = places.iter().map(|(place, found)| section(place, found, book)).collect();
    let missing: String = missing.iter().map(|line| format!("- {line}\n")).collect();
    TEXT.replace("MACHINE\n", &folded("The machine", &table(machine), book))
        .replace("RACES\n", races.trim_start())
        .replace("MISSING\n", if missing.is_empty() { "Nothing.\n" } else { &missing })
}

/// Renders what was measured in one place.
fn section(place: &str, found: &Measurements, book: bool) -> String {
    let memory = |memory: &[u64]| memory.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ");
    let first = found.peers.first().map_or("", |it| it.first.as_str());
    let head = ["program", &format!("{first} takes"), "milliseconds", "memory, KiB"].map(str::to_owned);
    let rows = found.peers.iter();
    let rows = rows
        .map(|it| [it.second.clone(), format!("× {}", it.ratio()), it.milliseconds().to_string(), memory(&it.memory)]);
    let peers = table([head].into_iter().chain(rows).collect());
    let compared = |what: &str, races: &[Race]| {
        let head = [what, "compared with", "takes", "the other, ms"].map(str::to_owned);
        let row = |it: &Race| {
            [it.first.clone(), it.second.clone(), format!("× {}", it.ratio()), it.milliseconds().to_string()]
        };
        table([head].into_iter().chain(races.iter().map(row)).collect())
    };
    let steps = compared("step", &found.steps);
    let none = "No other runtime was installed.\n".to_owned();
    let runtimes = if found.runtimes.is_empty() { none } else { compared("runtime", &found.runtimes) };
    let (mut times, mut added) = (String::new(), String::new());
    if book {
        let id = |chart: &str| format!("{chart}-{}", place.replace(' ', "-"));
        times = chart::render(&id("times"), &format!("Time of a run {place}"), &Axis::Logarithmic, &times_of(found));
        added = chart::render(&id("added"), &format!("What each step adds {place}"), &Axis::Ratio, &added_by(found));
    }
    format!(
        "## Races {place}\n\nHow long one run takes from start to end, and how many runs in succession fit into a second:\n\n{times}\n{}\n\
         How long each step takes, compared with the step before:\n\n{added}\n{}\n\
         How long `create`, `start` and `delete` take with the [runtime](podman.md) of step 4, compared with another runtime:\n\n{runtimes}\n",
        folded("All figures", &peers, book),
        folded("The figures of the steps", &steps, book)
    )
}

/// Returns the bars for the time of a run, the fastest program first.
fn times_of(found: &Measurements) -> Vec<Bar> {
    let mut races: Vec<_> = found.peers.iter().map(|race| (race.milliseconds(), race)).collect();
    races.sort_by(|(a, _), (b, _)| a.median.total_cmp(&b.median));
    let bar = |(value, race): (Quartiles, &Race)| Bar {
        label: race.second.clone(),
        class: if race.second == race.first { class(&race.first) } else { "peer".to_owned() },
        value,
        text: format!("{:.1} ms, {:.0}/s", value.median, 1000.0 / value.median),
    };
    races.into_iter().map(bar).collect()
}

/// Returns the bars for what each step adds.
fn added_by(found: &Measurements) -> Vec<Bar> {
    let bar = |race: &Race| {
        let value = race.ratio();
        // Not "-0".
        let percent = (100.0 * (value.median - 1.0)).round() + 0.0;
        let text = format!("{percent:+} %").replace('-', "−");
        Bar { label: race.first.clone(), class: class(&race.first), value, text }
    };
    found.steps.iter().map(bar).collect()
}

/// Returns the class of a step's colour in the book: `step4` for `step04`.
fn class(step: &str) -> String {
    format!("step{}", step.trim_start_matches("step").trim_start_matches('0'))
}

/// Folds a part of the book.
fn folded(summary: &str, text: &str, book: bool) -> String {
    match book {
        true => format!("<details><summary>{summary}</summary>\n\n{text}\n</details>\n"),
        false => text.to_owned(),
    }
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
    use super::*;

    fn race(first: &str, second: &str, memory: &[u64]) -> Race {
        let pairs = vec![(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)];
        Race { first: first.into(), second: second.into(), pairs, memory: memory.into() }
    }

    fn page(book: bool) -> String {
        let peers = vec![race("step04", "unshare", &[2000, 1900]), race("step04", "step04", &[1, 2])];
        let found = Measurements {
            peers,
            steps: vec![race("step01", "no container", &[])],
            runtimes: vec![race("oci", "crun", &[])],
            ..Default::default()
        };
        let machine = vec![["load".to_owned(), "0.1, 0.2".to_owned()]];
        render(machine, &[("as root", found)], &["podman: `sudo apt install podman`".to_owned()], book)
    }

    #[test]
    fn the_page_has_ratios_and_names_the_missing() {
        let page = page(false);
        assert!(page.starts_with("<!-- Written by `cargo xtask bench --write`."), "{page}");
        assert!(page.contains("| system ") && page.contains(" 0.1, 0.2 |"), "{page}");
        let row = "| unshare | × 0.50 (0.50–0.50) | 4.00 (3.00–5.00) | 2000 + 1900 |\n";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| step01 |  no container | × 0.50 (0.50–0.50) | 4.00 (3.00–5.00) |\n"), "{page}");
        assert!(page.contains("| oci     |          crun | × 0.50 (0.50–0.50) | 4.00 (3.00–5.00) |\n"), "{page}");
        assert!(page.contains("- podman: `sudo apt install podman`\n"), "{page}");
        assert!(!page.contains("MACHINE") && !page.contains("RACES") && !page.contains("MISSING"), "{page}");
        assert!(!page.contains("<svg") && !page.contains("<details"), "{page}");
    }

    #[test]
    fn the_book_has_charts_and_folded_tables() {
        let page = page(true);
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(page.contains("<g class=\"step4\"><text x=\"0\" y=\"43.5\">step04</text>"), "{page}");
        assert!(page.contains(">4.0 ms, 250/s</text>") && page.contains(">−50 %</text>"), "{page}");
        assert!(page.contains("<details><summary>All figures</summary>\n\n| program "), "{page}");
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
