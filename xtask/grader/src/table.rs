//! Prints rows as a table for a terminal, as CSV for a spreadsheet, or as JSON for other programs.

use std::fmt::Write as _;

use anyhow::Result;
use lab::output;
use serde_json::Value;

use crate::text::{self, visible};

/// The options for the format of a table.
#[derive(Debug, clap::Args)]
pub struct Format {
    /// Print JSON instead of a table
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV instead of a table
    #[arg(long)]
    pub csv: bool,
}

impl Format {
    /// Prints rows below the names of their columns, with an explanation if a person reads it; or the same as JSON.
    pub(crate) fn print<const N: usize>(
        &self,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        explanation: &str,
        json: &Value,
    ) -> Result<()> {
        let lines = [columns.map(str::to_owned)].into_iter().chain(rows);
        output::write(&match () {
            () if self.json => text::json(json),
            () if self.csv => csv(lines),
            () => table(lines) + explanation,
        })
    }
}

/// Returns columns that are as wide as their widest cells. Numbers are on the right. A name with a newline can't look like a row.
fn table<const N: usize>(lines: impl Iterator<Item = [String; N]>) -> String {
    let lines: Vec<_> = lines.map(|line| line.map(|cell| visible(&cell).replace('\n', r"\n"))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cell = |(cell, width): (&String, &usize)| match cell.parse::<f64>() {
            Ok(_) => format!("{cell:>width$}"),
            Err(_) => format!("{cell:<width$}"),
        };
        let line: Vec<String> = line.iter().zip(&widths).map(cell).collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
    out
}

/// Returns CSV, RFC 4180. A cell that a spreadsheet would calculate gets an apostrophe before it.
fn csv<const N: usize>(lines: impl IntoIterator<Item = [String; N]>) -> String {
    let cell = |cell: &String| {
        let cell = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.clone() };
        let is_plain = !cell.contains(['"', ',', '\n', '\r']);
        if is_plain { cell } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    let line = |line: [String; N]| line.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n";
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_a_table_is_one_line() {
        let lines = [["name", "passed"], ["bo\n\x1b[2J", "2"]].map(|line| line.map(str::to_owned));
        assert_eq!(table(lines.into_iter()), "name         passed\nbo\\n\\x1b[2J       2\n");
    }

    #[test]
    fn a_cell_of_csv_is_quoted_and_never_calculated() {
        let line = ["a,b", "say \"x\"", "=1+1", "plain"].map(str::to_owned);
        assert_eq!(csv([line]), "\"a,b\",\"say \"\"x\"\"\",'=1+1,plain\r\n");
    }
}
