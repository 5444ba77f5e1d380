//! `{{#compare}}`: the measured table of what each step shares with the host. The snapshot has columns that a narrow screen would
//! break, so the page has an HTML table instead.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};

use crate::directives::transcript;
use crate::html::escape;
use crate::workspace::Workspace;

const SNAPSHOT: &str = "xtask/grader/tests/grader/snapshots/grader__compare__table.snap";
const TYPED: &str = "$ cargo xtask compare";

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace) -> Result<String> {
    let body = transcript::read(workspace, SNAPSHOT, TYPED)?;
    let table = table(body.strip_prefix(TYPED).unwrap_or_default().trim_start_matches('\n'))
        .map_err(|line| anyhow!("{SNAPSHOT}: `{line}` does not fit the columns of the heading"))?;
    let typed = transcript::terminal(TYPED);
    Ok(format!("<div class=\"terminal-box\">{typed}<div class=\"table-wrapper\">{table}</div></div>"))
}

/// Returns HTML in one line, or the line that isn't a row. The heading determines where the columns begin; an empty line begins a
/// new group.
fn table(text: &str) -> Result<String, &str> {
    let heading = text.lines().next().unwrap_or_default();
    let pairs = (1..).zip(heading.as_bytes().windows(2));
    let starts: Vec<usize> = pairs.filter(|(_, it)| it[0] == b' ' && it[1] != b' ').map(|(at, _)| at).collect();
    if !heading.starts_with(' ') || starts.is_empty() {
        return Err(heading);
    }
    let mut html = "<table class=\"compare\"><thead><tr><td></td>".to_owned();
    for name in heading.split_whitespace() {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(name));
    }
    html.push_str("</tr></thead><tbody>");
    for line in text.lines().skip(1) {
        if line.is_empty() {
            html.push_str("</tbody><tbody>");
            continue;
        }
        let mut rest = line;
        let mut cells = String::new();
        for start in starts.iter().rev() {
            let (before, cell) = rest.split_at_checked(*start).ok_or(line)?;
            if !before.ends_with(' ') || cell.is_empty() || cell.starts_with(' ') {
                return Err(line);
            }
            cells = format!("<td>{}</td>{cells}", escape(cell.trim_end()));
            rest = before;
        }
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(rest.trim_end()));
    }
    Ok(html + "</tbody></table>")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_become_cells() {
        let text = "         host   step01\nown PID  11     12\nstatus   a < b  7\n\nuts      host's new\n";
        let rows = [
            "<thead><tr><td></td><th scope=\"col\">host</th><th scope=\"col\">step01</th></tr></thead>",
            "<tr><th scope=\"row\">own PID</th><td>11</td><td>12</td></tr>",
            "<td>a &lt; b</td><td>7</td></tr></tbody><tbody><tr><th scope=\"row\">uts</th>",
        ];
        let table = table(text).unwrap();
        assert!(rows.iter().all(|row| table.contains(row)), "{table}");
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused() {
        for text in ["", "a | b", "   host\nown", "   host\nlong one", "   a  b\nx  yz", "   a  b\nx  é  y"] {
            assert!(table(text).is_err(), "{text}");
        }
    }
}
