//! `{{#transcript step02-pid/tests/snapshots/step02__ps.snap}}`: what a test saw, as a terminal shows it.

use std::fmt::Write as _;

use crate::directives::Setting;
use crate::html::escape;

const PROMPT: &str = "$ ";

/// The block that takes the directive's place.
///
/// # Errors
/// What is wrong with the snapshot.
pub fn render(setting: &Setting<'_>, path: &str) -> Result<String, String> {
    Ok(format!("<div class=\"terminal-box\">{}</div>", terminal(&read(setting, path, PROMPT)?)))
}

/// What a snapshot holds, which must begin in a certain way.
///
/// # Errors
/// What is wrong with the snapshot.
pub fn read(setting: &Setting<'_>, path: &str, beginning: &str) -> Result<String, String> {
    let new = setting.places.inside("", &format!("{path}.new"))?;
    if new.exists() {
        return Err(format!("{path} has a pending {path}.new beside it: review that first"));
    }
    let text = setting.places.read("", path)?.replace("\r\n", "\n");
    // insta's header has three lines, or four, or five.
    let header = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    let (_, body) = header.ok_or_else(|| format!("{path} does not begin with insta's header"))?;
    let body = body.trim_end_matches('\n');
    if !body.starts_with(beginning) {
        return Err(format!("{path} does not begin with `{beginning}`: who reads it must see what was typed"));
    }
    if let Some(control) = body.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(format!("{path} holds the control character {control:?}; let the test take it out"));
    }
    Ok(body.to_owned())
}

/// HTML in one line. The prompt is no text to select or to read out, and the script of the theme copies what is typed. Each
/// line is an element, so that one which is too long for the screen can go on below, indented.
pub fn terminal(body: &str) -> String {
    let first = body.lines().next().unwrap_or_default().trim_start_matches(PROMPT);
    let mut html =
        format!("<pre class=\"terminal\" tabindex=\"0\" role=\"group\" aria-label=\"Terminal: {}\">", escape(first));
    for line in body.lines() {
        let _ = match line.strip_prefix(PROMPT) {
            Some(typed) => write!(
                html,
                "<span class=\"line\"><span class=\"prompt\" aria-hidden=\"true\">$ </span>\
                 <kbd class=\"typed\">{}</kbd>&#10;</span>",
                escape(typed)
            ),
            None => write!(html, "<span class=\"line\">{}&#10;</span>", escape(line)),
        };
    }
    html + "</pre>"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::html::{Token, decode, tokens};
    use crate::places::Places;

    proptest! {
        #[test]
        fn a_terminal_shows_every_character(body in "(\\$ )?(\n|\\$ |[ -~é]){0,60}") {
            let html = terminal(&body);
            prop_assert_eq!(html.lines().count(), 1);
            let shown: String = tokens(&html)
                .iter()
                .filter_map(|(_, token)| match token {
                    Token::Text(text) => Some(decode(text).into_owned()),
                    _ => None,
                })
                .collect();
            prop_assert_eq!(shown, body.lines().map(|line| format!("{line}\n")).collect::<String>());
        }

        #[test]
        fn any_snapshot_is_shown_or_refused(header in "(---\n|source: x\n|---|\n){0,5}", body in "(\\$ |\n|.|\r|\u{1b}){0,20}") {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("x.snap"), format!("{header}{body}")).unwrap();
            let places = Places { root: folder.path().to_owned() };
            let shown = render(&Setting { places: &places, repository: None }, "x.snap");
            prop_assert!(shown.is_err() || header.starts_with("---\n"));
            prop_assert!(shown.is_err() || !shown.unwrap().contains(|c: char| c.is_control() && c != '\t'));
        }
    }
}
