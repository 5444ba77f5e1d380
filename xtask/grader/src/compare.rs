//! `cargo xtask compare`: asks the same questions on the bare host and inside each step, and adds the kernel's view.
//!
//! Each column has a throwaway host of its own, so that no step sees what another did:
//!
//! ```text
//! xtask compare          one at a time, for the host itself and for each step:
//! └─ xtask host          the throwaway host; not with --real
//!    └─ xtask --observe  on it: starts the next one, observes it from outside, and prints a column
//!       └─ sh            the command: the host's own, or that of `stepNN run`
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ColorChoice;
use lab::privilege::Privilege;
use lab::{cargo, choice, namespaces, output, rootfs, steps};
use serde_json::json;

use crate::text::{GREEN, Request, YELLOW, is_colored, paint};

mod observe;

use observe::{Column, ENTER, HOST};
pub(crate) use observe::{OBSERVE, observe};

/// The options of `xtask compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "host's: the same as the host's. `kill` counts the host's processes that a signal would reach. mounts \
                        reach host: would something mounted inside show outside? The namespaces are read outside, from \
                        /proc/PID/ns."
)]
pub struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// When to colour the table: auto (on a terminal), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: ColorChoice,
    /// Compare with this machine instead of with a throwaway host for each step
    #[arg(long)]
    pub real: bool,
    /// How the steps get their rights: user, root, or sudo, which needs --real; auto finds a way
    #[arg(long, value_name = "HOW", default_value = "auto",
          value_parser = |way: &str| Privilege::parse(way, &[Privilege::User, Privilege::Root, Privilege::Sudo]))]
    pub privilege: Request,
}

/// Observes the host and every step, and prints a table, or JSON: an object with `host` (`throwaway` or `real`) and
/// `columns`, an array of [`Column`].
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.real || options.privilege != Some(Privilege::Sudo), "--privilege sudo needs --real");
    let programs = cargo::steps_and(&["xtask", "grader"])?;
    let steps = steps::all()?;
    // Of all steps, the last needs the most.
    let last = steps.last().context("there are no steps")?.number;
    let rights = match options.real {
        true => Some(choice::choose(&choice::ways_to_run(), options.privilege, last)?.privilege),
        false => options.privilege,
    };
    let mut columns = Vec::new();
    for name in [HOST].into_iter().chain(steps.iter().map(|step| step.name.as_str())) {
        columns.push(column(name, &programs, options.real, rights).with_context(|| name.to_owned())?);
    }
    if options.real && rights == Some(Privilege::User) {
        eprintln!("xtask: the steps ran in a user namespace, as in `cargo xtask run`, so their user namespace is new");
    }
    let host = if options.real { "real" } else { "throwaway" };
    output::write(&match options.json {
        true => format!("{:#}\n", json!({ "host": host, "columns": columns })),
        false => table(&columns, is_colored(options.color)),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Observes one column, on a new throwaway host or on this machine.
fn column(name: &str, programs: &BTreeMap<String, PathBuf>, real: bool, rights: Option<Privilege>) -> Result<Column> {
    let (xtask, grader) = (programs["xtask"].as_os_str(), programs["grader"].as_os_str());
    let way = rights.map_or("auto", Privilege::name);
    let host = ["host", "--die-with-parent", "--privilege", way, "--"].map(OsStr::new);
    let mut words = match (real, rights) {
        // Observing root's processes needs root as well.
        (true, Some(Privilege::Sudo)) => ["sudo", "--"].map(OsStr::new).to_vec(),
        (true, _) => Vec::new(),
        (false, _) => [&[xtask], &host[..]].concat(),
    };
    words.extend([grader, OsStr::new(OBSERVE), OsStr::new(name)]);
    words.extend((real && rights == Some(Privilege::User)).then_some(OsStr::new(ENTER)));
    // The pristine rootfs, whatever a learner did to theirs.
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(rootfs::test_directory()?).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("execve({:?})", words[0]))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", stderr.trim().trim_start_matches("xtask: ").replace('\n', "; "));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The text of a cell, and its colour, which only repeats what the text says.
type Cell = (String, Option<&'static str>);

/// The label of each row, and its cell in a column.
type Row = (&'static str, fn(&Column) -> Cell);

const ROWS: [Row; 9] = [
    ("hostname", |it| cell(&it.hostname, it.shares("uts"))),
    ("own PID", |it| cell(it.pid, it.shares("pid"))),
    ("processes it sees", |it| cell(count(it.processes_visible), it.proc == HOST)),
    ("host's it can kill", |it| {
        cell(format!("{} of {}", it.processes_in_reach, it.processes_on_host), it.processes_in_reach > 0)
    }),
    ("/", |it| cell(word(&it.root), it.root == HOST)),
    ("/proc", |it| cell(word(&it.proc).to_owned() + if it.proc_read_only { " (ro)" } else { "" }, it.proc == HOST)),
    ("mounts it sees", |it| match it.mounts == HOST {
        true => cell(word(HOST), true),
        false => cell(count(it.mounts_visible), false),
    }),
    ("mounts reach host", |it| cell(if it.mounts_reach_host { "yes" } else { "no" }, it.mounts_reach_host)),
    ("status of `exit 7`", |it| (it.exit_status.to_string(), None)),
];

fn cell(text: impl ToString, is_shared: bool) -> Cell {
    (text.to_string(), Some(if is_shared { YELLOW } else { GREEN }))
}

fn count(number: usize) -> String {
    if number == 0 { "none".into() } else { number.to_string() }
}

fn word(answer: &str) -> &str {
    if [HOST, "shared"].contains(&answer) { "host's" } else { answer }
}

fn table(columns: &[Column], colored: bool) -> String {
    let line = |label: String, cell: &dyn Fn(&Column) -> Cell| -> Vec<Cell> {
        [(label, None)].into_iter().chain(columns.iter().map(cell)).collect()
    };
    let short = |it: &Column| (it.name.split('-').next().unwrap_or_default().to_owned(), None);
    let mut lines = vec![line(String::new(), &short)];
    lines.extend(ROWS.iter().map(|(label, of)| line((*label).to_owned(), of)));
    lines.push(Vec::new());
    for kind in namespaces::KINDS {
        let of = |it: &Column| cell(word(it.namespace(kind)), it.shares(kind));
        lines.push(line(format!("{kind} namespace"), &of));
    }
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|(text, _)| text.chars().count()).max();
    let widths: Vec<usize> = (0..=columns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, color)) in line.iter().enumerate() {
            let gap = if at + 1 < line.len() { widths[at] + 2 - cell.chars().count() } else { 0 };
            // The host is what the steps are compared with.
            text += &paint(cell, color.filter(|_| colored && at > 1));
            text += &" ".repeat(gap);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_takes_no_room_and_leaves_the_host_alone() {
        let column = |name: &str, uts: &str| Column {
            name: name.into(),
            namespaces: [("uts".to_owned(), uts.to_owned())].into(),
            ..Column::default()
        };
        let columns = [column("host", "shared"), column("step01-uts", "new")];
        let colored = table(&columns, true);
        let stripped =
            ["\x1b[33m", "\x1b[32m", "\x1b[0m"].iter().fold(colored.clone(), |it, code| it.replace(code, ""));
        assert_eq!(stripped, table(&columns, false));
        assert!(colored.contains("uts namespace       host's  \x1b[32mnew\x1b[0m\n"), "{colored}");
    }
}
