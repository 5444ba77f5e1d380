//! `{{#compare}}`: the measured table of what each step shares with the host. The snapshot has columns that a narrow screen would
//! break, so the page has an HTML table instead.

use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow};

use crate::directives::transcript;
use crate::html::escape;
use crate::workspace::Workspace;

const SNAPSHOT: &str = "xtask/grader/tests/grader/snapshots/grader__compare__table.snap";
const TYPED: &str = "$ cargo xtask compare";

/// What `cargo xtask compare` observed.
pub struct Measured {
    /// The host, and then the steps.
    pub columns: Vec<String>,
    /// The rows, in groups.
    groups: Vec<Vec<Row>>,
}

/// What was observed of one kind on the host and in each step.
pub struct Row {
    name: String,
    pub cells: Vec<String>,
}

impl Measured {
    /// Reads the snapshot.
    pub fn read(workspace: &Workspace) -> Result<Measured> {
        let body = transcript::read(workspace, SNAPSHOT, TYPED)?;
        parse(body.strip_prefix(TYPED).unwrap_or_default().trim_start_matches('\n'))
            .map_err(|line| anyhow!("{SNAPSHOT}: `{line}` does not fit the columns of the heading"))
    }

    /// Returns the names of all rows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flatten().map(|row| row.name.as_str())
    }

    /// Returns the row of that name.
    pub fn row(&self, name: &str) -> Result<&Row> {
        let row = self.groups.iter().flatten().find(|row| row.name == name);
        row.with_context(|| format!("{SNAPSHOT} has no row `{name}`"))
    }
}

impl Row {
    /// Returns the step that made the cell of a column what it is: the last one that differs from the column before, or 0 if it
    /// is still the host's.
    pub fn step(&self, column: usize) -> usize {
        (1..=column).rev().find(|at| self.cells[*at] != self.cells[*at - 1]).unwrap_or(0)
    }
}

/// Returns the class of what a step made, or of what is still the host's.
pub fn class(step: usize) -> String {
    if step == 0 { "shared".to_owned() } else { format!("step{step}") }
}

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace) -> Result<String> {
    let table = table(&Measured::read(workspace)?);
    let typed = transcript::terminal(TYPED);
    Ok(format!("<div class=\"terminal-box\">{typed}<div class=\"table-wrapper\">{table}</div></div>"))
}

/// Returns the observations, or the line that isn't a row. The heading determines where the columns begin; an empty line begins a
/// new group.
fn parse(text: &str) -> Result<Measured, &str> {
    let heading = text.lines().next().unwrap_or_default();
    let pairs = (1..).zip(heading.as_bytes().windows(2));
    let starts: Vec<usize> = pairs.filter(|(_, it)| it[0] == b' ' && it[1] != b' ').map(|(at, _)| at).collect();
    if !heading.starts_with(' ') || starts.is_empty() {
        return Err(heading);
    }
    let mut groups = vec![Vec::new()];
    for line in text.lines().skip(1) {
        let Some(group) = groups.last_mut().filter(|_| !line.is_empty()) else {
            groups.push(Vec::new());
            continue;
        };
        let mut rest = line;
        let mut cells = Vec::new();
        for start in starts.iter().rev() {
            let (before, cell) = rest.split_at_checked(*start).ok_or(line)?;
            if !before.ends_with(' ') || cell.is_empty() || cell.starts_with(' ') {
                return Err(line);
            }
            cells.insert(0, cell.trim_end().to_owned());
            rest = before;
        }
        group.push(Row { name: rest.trim_end().to_owned(), cells });
    }
    Ok(Measured { columns: heading.split_whitespace().map(str::to_owned).collect(), groups })
}

/// Returns HTML in one line.
fn table(measured: &Measured) -> String {
    let mut html = "<table class=\"compare\"><thead><tr><td></td>".to_owned();
    for name in &measured.columns {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(name));
    }
    html.push_str("</tr></thead>");
    for group in &measured.groups {
        html.push_str("<tbody>");
        for row in group {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&row.name));
            for (column, cell) in row.cells.iter().enumerate() {
                let _ = write!(html, "<td class=\"{}\">{}</td>", class(row.step(column)), escape(cell));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody>");
    }
    html + "</table>"
}

#[cfg(test)]
mod tests {
    use super::{parse, table};

    #[test]
    fn columns_become_cells() {
        let text = "         host   step01\nown PID  11     12\nstatus   a < b  7\n\nuts      host's new\n";
        let rows = [
            "<thead><tr><td></td><th scope=\"col\">host</th><th scope=\"col\">step01</th></tr></thead>",
            "<tr><th scope=\"row\">own PID</th><td class=\"shared\">11</td><td class=\"step1\">12</td></tr>",
            "<td class=\"shared\">a &lt; b</td><td class=\"step1\">7</td></tr></tbody><tbody><tr><th scope=\"row\">uts</th>",
        ];
        let table = table(&parse(text).ok().unwrap());
        assert!(rows.iter().all(|row| table.contains(row)), "{table}");
    }

    #[test]
    fn a_cell_belongs_to_the_step_that_changed_it_last() {
        let measured = parse("   host  a      b    c    d\n/  all   all  x    x    y\n").map(|_| ()).unwrap_err();
        assert_eq!(measured, "/  all   all  x    x    y");
        let measured = parse("   host  a    b    c    d\n/  all   all  x    x    y\n").ok().unwrap();
        let row = measured.row("/").unwrap();
        assert_eq!((0..5).map(|column| row.step(column)).collect::<Vec<_>>(), [0, 0, 2, 2, 4]);
        assert!(measured.row("/proc").is_err());
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused() {
        for text in ["", "a | b", "   host\nown", "   host\nlong one", "   a  b\nx  yz", "   a  b\nx  é  y"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
