//! `{{#transcript step02-pid/tests/snapshots/step02__ps.snap}}`: what a test observed, as a terminal shows it.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use crate::html::escape;
use crate::workspace::Workspace;

const PROMPT: &str = "$ ";

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, path: &str) -> Result<String> {
    let (run, note) = workspace.machine.as_ref().map(|machine| machine.runs(path)).unwrap_or_default();
    Ok(format!("<div class=\"terminal-box\"{run}>{}</div>{note}", terminal(&read(workspace, path, PROMPT)?)))
}

/// Reads a snapshot, without its header. It must begin with `beginning`.
pub fn read(workspace: &Workspace, path: &str, beginning: &str) -> Result<String> {
    let text = workspace.read(path)?;
    // insta's header has three lines, or four, or five.
    let header = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    let body = header.with_context(|| format!("{path} does not begin with insta's header"))?.1.trim_end_matches('\n');
    ensure!(body.starts_with(beginning), "{path} does not begin with `{beginning}`: readers must see what was typed");
    if let Some(control) = body.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        bail!("{path} contains the control character {control:?}; remove it in the test");
    }
    Ok(body.to_owned())
}

/// Returns HTML in one line. The prompt can't be selected and isn't read out, and the theme's script copies what is typed.
pub fn terminal(body: &str) -> String {
    let first = body.lines().next().unwrap_or_default().trim_start_matches(PROMPT);
    let mut html =
        format!("<pre class=\"terminal\" tabindex=\"0\" role=\"group\" aria-label=\"Terminal: {}\">", escape(first));
    for line in body.lines() {
        let _ = match line.strip_prefix(PROMPT) {
            Some(typed) => write!(
                html,
                "<span class=\"prompt\" aria-hidden=\"true\">$ </span><kbd class=\"typed\">{}</kbd>&#10;",
                escape(typed)
            ),
            None => write!(html, "{}&#10;", escape(line)),
        };
    }
    html + "</pre>"
}

/// Returns the block for commands to type, which a chapter writes as a code block in the language `console`. It must contain no
/// output, because nothing has observed that.
pub fn commands(workspace: &Workspace, lines: &[&str]) -> Result<String> {
    ensure!(!lines.is_empty(), "no command");
    if let Some(line) = lines.iter().find(|line| !line.starts_with(PROMPT)) {
        bail!("`{line}` is not a command after `$ `; output comes from a snapshot, by `transcript`");
    }
    // The machine in the pages has the steps, but no cargo.
    let runs = workspace.machine.is_some() && lines.iter().any(|line| line.starts_with("$ step"));
    let run = if runs { " data-run" } else { "" };
    Ok(format!("<div class=\"terminal-box\"{run}>{}</div>", terminal(&lines.join("\n"))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::html::{Token, tokens};

    proptest! {
        #[test]
        fn a_terminal_shows_every_character(body in "(\\$ )?(\n|\\$ |[ -~é]){0,60}") {
            let html = terminal(&body);
            prop_assert_eq!(html.lines().count(), 1);
            let shown = tokens(&html).into_iter().filter_map(|(_, token)| match token {
                Token::Text(text) => Some(text),
                _ => None,
            });
            prop_assert_eq!(shown.collect::<String>(), body.lines().map(|line| format!("{line}\n")).collect::<String>());
        }
    }
}
