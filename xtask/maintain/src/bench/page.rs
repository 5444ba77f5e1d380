//! The page that the bench writes: Markdown, for the book and for a terminal.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use lab::rootfs::{self, Source};
use lab::{cargo, steps};

use super::Results;
use super::contenders::Contender;
use super::statistics::Race;

/// The page's text. Words in capitals are replaced.
const TEXT: &str = include_str!("../../bench/page.md");

/// Renders everything that was measured.
///
/// # Errors
/// When cargo or the steps can't be asked.
pub fn render(results: &Results) -> Result<String> {
    let directory = cargo::target_directory()?.join("bench");
    let kind = if cargo::static_target().is_some() { "linked statically with musl" } else { "linked with glibc" };
    let missing: String = results.missing.iter().map(|line| format!("- {line}\n")).collect();
    let page = TEXT
        .replace("MACHINE\n", &table(machine(results, &directory)))
        .replace("RUNS", &results.runs.to_string())
        .replace("STEP04", kind)
        .replace("MISSING\n", &if missing.is_empty() { missing } else { format!("Not in the tables:\n\n{missing}\n") })
        .replace("RACES\n", &table(races(results)))
        .replace("SIZES\n", &table(sizes(results, &directory)))
        .replace("STEPS\n", &table(steps(results)?));
    Ok(page)
}

fn races(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["compared with".to_owned()], vec!["step04 itself".to_owned()]];
    for (place, found) in &results.places {
        rows[0].extend([format!("ratio, {place}"), "theirs, ms".to_owned()]);
        rows[1].extend([String::new(), found.races.values().next().map(Race::first).unwrap_or_default()]);
    }
    for peer in &results.contenders[1..] {
        let races = results.places.iter().map(|(_, found)| found.races.get(peer.name));
        let cells = races.flat_map(|race| [Race::ratio, Race::second].map(|it| race.map(it).unwrap_or_default()));
        rows.push([peer.name.to_owned()].into_iter().chain(cells).collect());
    }
    rows.retain(|row| row.iter().skip(1).any(|cell| !cell.is_empty()));
    rows
}

fn steps(results: &Results) -> Result<Vec<Vec<String>>> {
    let mut rows = vec![vec!["step".to_owned()]];
    for (place, _) in &results.places {
        rows[0].extend([format!("ratio, {place}"), "more, ms".to_owned()]);
    }
    let mut before = "no container".to_owned();
    for step in steps::all()? {
        let mut row = vec![format!("{}, compared with {before}", step.short())];
        for (_, found) in &results.places {
            let race = found.steps.get(&step.name);
            row.extend([Race::ratio, Race::difference].map(|it| race.map(it).unwrap_or_default()));
        }
        rows.push(row);
        before = step.short().to_owned();
    }
    Ok(rows)
}

fn sizes(results: &Results, directory: &Path) -> Vec<Vec<String>> {
    let mut rows = vec![["program", "version", "size, KiB", "memory, KiB", "system calls"].map(str::to_owned).to_vec()];
    for contender in &results.contenders {
        let observations = results.places.iter().find_map(|(_, found)| found.observations.get(contender.name));
        let Some(observation) = observations else { continue };
        let memory: Vec<String> = observation.memory.iter().map(u64::to_string).collect();
        rows.push(vec![
            contender.name.to_owned(),
            version(contender, directory),
            fs::metadata(&contender.program).map_or(String::new(), |it| (it.len() / 1024).to_string()),
            memory.join(" + "),
            observation.calls.map_or("no strace".into(), |calls| calls.to_string()),
        ]);
    }
    rows
}

fn version(contender: &Contender, directory: &Path) -> String {
    if contender.is_built(directory) {
        return "built here".into();
    }
    let line = first_line(&contender.program.to_string_lossy(), &["--version"]);
    let version = line.split_whitespace().find(|word| word.starts_with(|it: char| it.is_ascii_digit()));
    version.unwrap_or("unknown").to_owned()
}

/// Returns what the figures depend on, and nothing that tells whose machine it is.
fn machine(results: &Results, directory: &Path) -> Vec<Vec<String>> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |path: &str, name: &str| {
        let text = read(path);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix([':', '=']));
        line.map(|value| value.trim().trim_matches('"').to_owned())
    };
    let cpu = |name| value("/proc/cpuinfo", name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_virtual = cpu("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let model = cpu("model name").unwrap_or_else(|| ARCH.to_owned());
    let rows = [
        ("", "measured on".to_owned()),
        ("date", first_line("date", &["-u", "+%Y-%m-%d"])),
        ("machine", format!("{model}, {cores} CPUs{}", if is_virtual { ", virtual" } else { "" })),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("system", value("/etc/os-release", "PRETTY_NAME").unwrap_or_default()),
        ("C library", first_line("getconf", &["GNU_LIBC_VERSION"])),
        ("Rust", first_line("rustc", &["--version"])),
        ("commit", first_line("git", &["describe", "--always", "--dirty", "--exclude=*"])),
        ("rootfs", kind_of(&directory.join("rootfs"))),
        ("load, before and after", results.load.clone()),
    ];
    rows.map(|(name, value)| vec![name.to_owned(), value]).to_vec()
}

/// Returns what a rootfs is made of, without the path that it may have come from, which tells whose `/bin/true` that is.
fn kind_of(rootfs: &Path) -> String {
    if let Ok(release) = fs::read_to_string(rootfs.join("etc/alpine-release")) {
        return format!("Alpine {}", release.trim());
    }
    let known = [Source::Busybox, Source::Host].map(|source| source.to_string());
    rootfs::stamp(rootfs).filter(|stamp| known.contains(stamp)).unwrap_or_else(|| "another".into())
}

/// Returns the first line that a program prints, or `unknown`.
fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| "unknown".into(), |line| line.trim().to_owned())
}

/// Renders a table as Markdown. Its columns are padded, so that it is readable in a terminal as well; all but the first are
/// aligned to the right. The first row is the heading.
fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines: Vec<String> = Vec::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cell = |(column, (text, &width)): (usize, (&String, &usize))| match column {
            0 => format!("| {text:<width$} |"),
            _ => format!(" {text:>width$} |"),
        };
        lines.push(cells.map(cell).collect());
    }
    let rule = widths.iter().enumerate().map(|(column, &width)| match column {
        0 => format!("| {:-<width$} |", ""),
        _ => format!(" {:->width$} |", ":"),
    });
    lines.insert(1, rule.collect());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::contenders::all;
    use super::super::races::{Measurements, Observation};
    use super::*;

    #[test]
    fn the_page_has_ratios_and_names_the_missing() {
        let race = Race(vec![(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]);
        let mut found = Measurements::default();
        found.observations.insert("step04".into(), Observation { memory: vec![2000, 1900], calls: Some(399) });
        found.races.insert("unshare".into(), race);
        let results = Results {
            runs: 3,
            load: "0.1, 0.2".into(),
            contenders: all(Path::new("/no/such/directory"), Path::new("/no/such/programs")).unwrap(),
            places: vec![("as root", found)],
            missing: vec!["podman: `sudo apt install podman`".into()],
        };
        let page = render(&results).unwrap();
        assert!(page.starts_with("<!-- Written by `cargo xtask bench --write`."), "{page}");
        assert!(page.contains("| kernel "), "{page}");
        assert!(page.contains("| unshare       | 0.50 (0.50–0.50) | 4.00 (3.00–5.00) |"), "{page}");
        assert!(page.contains("| step04 itself |                  | 2.00 (1.50–2.50) |"), "{page}");
        assert!(page.contains("2000 + 1900 |          399 |"), "{page}");
        assert!(page.contains("- podman: `sudo apt install podman`\n"), "{page}");
        assert!(page.contains("- `step04` is what") && !page.contains("RACES"), "{page}");
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
        assert_eq!(table(rows.map(|row| row.map(str::to_owned).to_vec()).to_vec()), expected);
    }
}
