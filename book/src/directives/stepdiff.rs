//! `{{#stepdiff step01-uts step02-pid}}`, or `{{#stepdiff step01-uts step02-pid #child}}`: what changed from one step to
//! another, in the whole program or in some of its items.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use crate::directives::{Setting, listing};
use crate::html::escape;

/// Unchanged lines around a change, as `diff -u` has them.
const CONTEXT: usize = 3;

/// The block that takes the directive's place.
///
/// # Errors
/// What can't be found, or that nothing changed.
pub fn render(setting: &Setting<'_>, argument: &str) -> Result<String, String> {
    let (steps, items) = argument.split_once('#').map_or((argument, None), |(steps, items)| (steps, Some(items)));
    let &[old, new] = steps.split_whitespace().collect::<Vec<_>>().as_slice() else {
        return Err(
            "`stepdiff` takes two steps, and perhaps #ITEM: {{#stepdiff step01-uts step02-pid #child}}".to_owned()
        );
    };
    let (old, new) = (format!("{old}/src/main.rs"), format!("{new}/src/main.rs"));
    let (old_text, new_text) = (setting.places.read("", &old)?, setting.places.read("", &new)?);

    let mut lines = String::new();
    let names = items.map(|items| items.split(',').map(str::trim).collect::<Vec<_>>());
    match &names {
        None => hunks(&mut lines, (&old_text, 0), (&new_text, 0)),
        Some(names) => {
            for name in names {
                let (from, to) = (listing::find_item(&old_text, name), listing::find_item(&new_text, name));
                let (from, to) = match (from, to) {
                    // New, or gone: then all of it is the difference.
                    (Ok(from), Err(listing::NotOne::None)) => (from, 0..0),
                    (Err(listing::NotOne::None), Ok(to)) => (0..0, to),
                    (from, to) => {
                        (from.map_err(|why| why.explain(&old, name))?, to.map_err(|why| why.explain(&new, name))?)
                    }
                };
                let before = lines.len();
                hunks(
                    &mut lines,
                    (&listing::cut(&old_text, &from), from.start),
                    (&listing::cut(&new_text, &to), to.start),
                );
                if lines.len() == before {
                    return Err(format!("`{name}` is the same in {old} and {new}"));
                }
            }
        }
    }
    if lines.is_empty() {
        return Err(format!("{old} and {new} are the same"));
    }
    let what = names.map(|names| format!(", {}", names.join(", "))).unwrap_or_default();
    Ok(format!(
        "<div class=\"diff-box\"><pre class=\"diff\" tabindex=\"0\" role=\"group\" aria-label=\"Difference from {} to {}{}\">\
         <span class=\"file\">--- {}&#10;</span><span class=\"file\">+++ {}&#10;</span>{lines}</pre></div>",
        escape(&old),
        escape(&new),
        escape(&what),
        escape(&old),
        escape(&new)
    ))
}

/// Appends the hunks of one difference. Each text comes with the number of lines before it in its file.
fn hunks(html: &mut String, (old, old_offset): (&str, usize), (new, new_offset): (&str, usize)) {
    let diff = TextDiff::from_lines(old, new);
    for ops in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else { continue };
        let range = |start: usize, end: usize, offset: usize| match end - start {
            // As diff does: an empty range is named by the line before it.
            0 => format!("{},0", start + offset),
            1 => format!("{}", start + offset + 1),
            length => format!("{},{length}", start + offset + 1),
        };
        let _ = write!(
            html,
            "<span class=\"hunk\">@@ -{} +{} @@&#10;</span>",
            range(first.old_range().start, last.old_range().end, old_offset),
            range(first.new_range().start, last.new_range().end, new_offset)
        );
        for change in ops.iter().flat_map(|op| diff.iter_changes(op)) {
            let (element, sign) = match change.tag() {
                ChangeTag::Delete => ("del", '-'),
                ChangeTag::Insert => ("ins", '+'),
                ChangeTag::Equal => ("span", ' '),
            };
            let line = escape(change.value().trim_end_matches(['\r', '\n']));
            let _ = write!(html, "<{element}>{sign}{line}&#10;</{element}>");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::html::{Token, decode, tokens};

    proptest! {
        #[test]
        fn a_difference_gives_both_texts_back(old in "([ab<&]{0,2}\n){0,3}", new in "([ab<&]{0,2}\n){0,3}") {
            let mut html = String::new();
            hunks(&mut html, (&old, 0), (&new, 0));
            let (mut before, mut after, mut element) = (String::new(), String::new(), String::new());
            for (_, token) in tokens(&html) {
                match token {
                    Token::Open { name, attributes, .. } => {
                        element = if attributes.is_empty() { name } else { "hunk".to_owned() };
                    }
                    Token::Text(text) => {
                        let line = &decode(text)[1..];
                        before.push_str(if ["del", "span"].contains(&element.as_str()) { line } else { "" });
                        after.push_str(if ["ins", "span"].contains(&element.as_str()) { line } else { "" });
                    }
                    _ => {}
                }
            }
            // So short that every line is near a change, if there is one.
            let expected = if old == new { (String::new(), String::new()) } else { (old, new) };
            prop_assert_eq!((before, after), expected);
        }
    }
}
