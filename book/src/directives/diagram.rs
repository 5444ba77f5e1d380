//! `{{#diagram diagrams/uts.svg}}`: a drawing of `book/`, put into the page so that it takes the reader's theme. So it must
//! have no colour of its own, and must say to who can't see it what it is.

use crate::directives::Setting;
use crate::html::{Token, decode, tokens};

/// Attributes and properties whose value is a paint.
const PAINTS: [&str; 9] = [
    "fill",
    "stroke",
    "stop-color",
    "flood-color",
    "lighting-color",
    "color",
    "background",
    "background-color",
    "solid-color",
];

/// The block that takes the directive's place.
///
/// # Errors
/// What is wrong with the drawing.
pub fn render(setting: &Setting<'_>, path: &str) -> Result<String, String> {
    let drawing = setting.places.read("book", path)?.replace("\r\n", "\n");
    let start = drawing.find("<svg").ok_or_else(|| format!("book/{path} holds no <svg>"))?;
    let wrong = faults(&drawing);
    if !wrong.is_empty() {
        let all: Vec<String> = wrong
            .iter()
            .map(|(at, fault)| format!("book/{path}:{}: {fault}", drawing[..*at].matches('\n').count() + 1))
            .collect();
        return Err(all.join("; "));
    }
    // A blank line would end the HTML block for Markdown.
    let lines: Vec<&str> = drawing[start..].lines().filter(|line| !line.trim().is_empty()).map(str::trim_end).collect();
    Ok(format!("<figure class=\"diagram\">\n{}\n</figure>", lines.join("\n")))
}

/// What is wrong with a drawing, each with its byte offset.
fn faults(drawing: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let tokens = tokens(drawing);
    let mut title = false;
    for (index, (at, token)) in tokens.iter().enumerate() {
        match token {
            Token::Open { name, attributes, .. } => {
                if name == "svg" && !attributes.iter().any(|(key, value)| *key == "role" && value == "img") {
                    faults.push((*at, "the <svg> has no role=\"img\"".to_owned()));
                }
                if name == "script" {
                    faults.push((*at, "a diagram runs no script".to_owned()));
                }
                let text = tokens.get(index + 1).map(|(_, next)| next);
                title |= name == "title" && matches!(text, Some(Token::Text(text)) if !decode(text).trim().is_empty());
                for (key, value) in attributes {
                    if *key == "style" {
                        declarations(value).for_each(|(key, value)| paint(*at, key, value, &mut faults));
                    } else {
                        paint(*at, key, value, &mut faults);
                    }
                }
            }
            Token::Raw(sheet) => {
                declarations(sheet).for_each(|(key, value)| paint(*at, key, value, &mut faults));
            }
            Token::Text(_) | Token::Close(_) => {}
        }
    }
    if !title {
        faults.push((drawing.find("<svg").unwrap_or(0), "the drawing has no <title> for who can't see it".to_owned()));
    }
    faults
}

/// `property: value` pairs of a style sheet or a style attribute.
fn declarations(sheet: &str) -> impl Iterator<Item = (&str, &str)> {
    sheet.split(['{', '}', ';']).filter_map(|part| {
        let (key, value) = part.split_once(':')?;
        // A comment before the property is none of it.
        Some((key.rsplit("*/").next().unwrap_or(key).trim(), value.trim()))
    })
}

fn paint(at: usize, key: &str, value: &str, faults: &mut Vec<(usize, String)>) {
    let is_paint = PAINTS.contains(&key.to_ascii_lowercase().as_str());
    let value = value.trim().trim_end_matches("!important").trim_end();
    if is_paint && !follows_theme(value) {
        faults.push((
            at,
            format!("{key} is the fixed colour `{value}`, wrong in some theme; use currentColor or var(--fg)"),
        ));
    }
}

/// No paint, the surrounding one, a variable of the theme, or a gradient of the drawing.
fn follows_theme(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let keyword = ["none", "currentcolor", "inherit", "transparent", "context-fill", "context-stroke"];
    let call = |name: &str| lower.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    keyword.contains(&lower.as_str())
        // With a comma the variable has a fallback, which is a paint again.
        || call("var(--").is_some_and(|inner| match inner.split_once(',') {
            Some((_, fallback)) => follows_theme(fallback.trim()),
            None => !inner.is_empty(),
        })
        || call("url(#").is_some()
        || call("color-mix(").is_some_and(|inner| {
            let words = inner.split([',', ' ']).filter(|word| !word.is_empty() && !word.ends_with('%'));
            words.skip(2).all(follows_theme)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            r##"<path fill="#fff"/>"##,
            r#"<path stroke="Black"/>"#,
            r#"<stop stop-color="rgb(0,0,0)"/>"#,
            r#"<path style="x:y; fill : hsl(0 0% 0%)"/>"#,
            r#"<style>/* why */ fill: red</style>"#,
            r#"<style>.a { stroke-width: 2; stroke: red !important }</style>"#,
            r##"<path fill="var(--fg, #000)"/>"##,
        ] {
            let drawing = format!("<svg role=\"img\"><title>T</title>{part}</svg>");
            assert!(messages(&drawing).contains("fixed colour"), "{part}");
        }
    }

    #[test]
    fn a_drawing_says_what_it_is() {
        assert!(messages("<svg><title>T</title></svg>").contains("role"));
        assert!(messages("<svg role=\"img\"></svg>").contains("<title>"));
        assert!(messages("<svg role=\"img\"><title> </title></svg>").contains("<title>"));
    }

    proptest! {
        #[test]
        fn any_drawing_has_faults_or_none(drawing in "(<svg|<title>|</title>|<style>|</style>| fill=|#fff|\"|;|:|\\{|\\}|\\*/|var\\(--|color-mix\\(|,|\\)|<|>|=|é|.){0,30}") {
            for (at, fault) in faults(&drawing) {
                prop_assert!(drawing.is_char_boundary(at) && !fault.is_empty());
            }
        }

        #[test]
        fn a_colour_is_found_in_any_of_its_places(colour in "#[0-9a-f]{3}|[a-z]{1,5}\\([0-9]\\)", at in 0..PAINTS.len(), blank in "[ \n]{0,3}") {
            let paint = PAINTS[at];
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
