//! `{{#diagram diagrams/uts.svg}}`: a drawing in `book/`, inserted into the page so that it follows the reader's theme. So it must
//! have no fixed colours, and it must describe itself to readers who can't see it.

use anyhow::{Context, Result, ensure};

use crate::html::{Token, tokens};
use crate::workspace::Workspace;

/// Attributes and properties whose value is a paint.
const PAINTS: &str = "fill stroke stop-color flood-color lighting-color solid-color color background background-color";

/// Words of a paint that isn't a colour, or that takes its colour from its surroundings or from the theme.
const KEYWORDS: &str =
    "none currentcolor inherit transparent context-fill context-stroke var color-mix in srgb oklab oklch !important";

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, path: &str) -> Result<String> {
    Ok(format!("<figure class=\"diagram\">\n{}\n</figure>", read(workspace, path)?))
}

/// Reads a drawing of `book/`, and checks it.
pub fn read(workspace: &Workspace, path: &str) -> Result<String> {
    let file = format!("book/{path}");
    let drawing = workspace.read(&file)?;
    let start = drawing.find("<svg").with_context(|| format!("{file} contains no <svg>"))?;
    let wrong: Vec<String> = faults(&drawing).iter().map(|(line, fault)| format!("{file}:{line}: {fault}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    // A blank line would end the HTML block for Markdown.
    let lines: Vec<&str> = drawing[start..].lines().filter(|line| !line.trim().is_empty()).map(str::trim_end).collect();
    Ok(lines.join("\n"))
}

/// Returns what is wrong with a drawing, each fault with its line.
fn faults(drawing: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut has_title = false;
    let mut element = String::new();
    for (line, token) in tokens(drawing) {
        let mut fault = |message: &str| faults.push((line, message.to_owned()));
        let paints = match &token {
            Token::Start(name, attributes) => {
                element.clone_from(name);
                if name == "svg" && !attributes.iter().any(|(key, value)| key == "role" && value == "img") {
                    fault("the <svg> has no role=\"img\"");
                }
                if name == "script" {
                    fault("a diagram must not contain a script");
                }
                let styles = attributes.iter().filter(|(key, _)| key == "style");
                let attributes = attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                attributes.chain(styles.flat_map(|(_, style)| declarations(style))).collect()
            }
            Token::Text(text) => {
                has_title |= element == "title" && !text.trim().is_empty();
                if element == "style" { declarations(text) } else { Vec::new() }
            }
            Token::End(_) => {
                element.clear();
                Vec::new()
            }
        };
        for (key, value) in paints.into_iter().filter(|(key, value)| is_one_of(key, PAINTS) && !follows_theme(value)) {
            fault(&format!("{key} is the fixed colour `{value}`, wrong in some theme; use currentColor or var(--fg)"));
        }
    }
    if !has_title {
        faults.push((1, "the drawing has no <title>, which screen readers read out".to_owned()));
    }
    faults
}

/// Returns the `property: value` pairs of a style sheet or a style attribute.
fn declarations(sheet: &str) -> Vec<(&str, &str)> {
    let pairs = sheet.split(['{', '}', ';']).filter_map(|part| part.split_once(':'));
    // A comment before the property isn't part of it.
    pairs.map(|(key, value)| (key.rsplit("*/").next().unwrap_or(key).trim(), value.trim())).collect()
}

fn is_one_of(word: &str, words: &str) -> bool {
    words.split(' ').any(|it| it.eq_ignore_ascii_case(word))
}

/// True if a paint is a gradient of the drawing, or contains no colour.
fn follows_theme(value: &str) -> bool {
    let mut words = value.split([' ', '\n', ',', '(', ')']).filter(|word| !word.is_empty());
    value.starts_with("url(#") && value.ends_with(')')
        || words.all(|word| word.starts_with("--") || word.ends_with('%') || is_one_of(word, KEYWORDS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn messages(drawing: &str) -> String {
        faults(drawing).into_iter().map(|(_, fault)| fault).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_drawing_in_the_themes_colours_is_right() {
        let drawing = r##"<svg role="img"><title>T</title><style>.a{fill:var(--fg);stroke:none}</style>
            <path fill="currentColor" stroke="var(--links, currentColor)" style="stop-color: inherit"/>
            <path fill="url(#g)" stroke="color-mix(in srgb, var(--fg) 20%, transparent)"/></svg>"##;
        assert_eq!(messages(drawing), "");
    }

    #[test]
    fn a_fixed_colour_is_found_wherever_it_hides() {
        for part in [
            r#"<path stroke="Black"/>"#,
            r#"<style>/* why */ fill: red</style>"#,
            r#"<style>.a { stroke-width: 2; stroke: red !important }</style>"#,
            r##"<path fill="var(--fg, #000)"/>"##,
        ] {
            let drawing = format!("<svg role=\"img\"><title>T</title>{part}</svg>");
            assert!(messages(&drawing).contains("fixed colour"), "{part}");
        }
    }

    proptest! {
        #[test]
        fn a_colour_is_found_in_any_of_its_places(colour in "#[0-9a-f]{3}|[a-z]{1,5}\\([0-9]\\)", paint in select(PAINTS.split(' ').collect::<Vec<_>>()), blank in "[ \n]{0,3}") {
            for part in [
                format!("<path {paint}{blank}={blank}\"{colour}\"/>"),
                format!("<path style=\"x:y;{blank}{paint}{blank}:{blank}{colour}\"/>"),
                format!("<style>.a{blank}{{{paint}{blank}:{blank}{colour}{blank}}}</style>"),
            ] {
                let found = messages(&format!("<svg role=\"img\"><title>T</title>{part}</svg>"));
                prop_assert!(found.contains("fixed colour"), "{}", part);
            }
        }
    }
}
