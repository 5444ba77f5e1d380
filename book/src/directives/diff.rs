//! `{{#stepdiff step01-uts step02-pid}}`, or `{{#stepdiff step01-uts step02-pid #child}}`: what changes from one step to another,
//! in the complete program or in some of its items.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail, ensure};
use similar::{ChangeTag, TextDiff};

use crate::directives::listing;
use crate::html::escape;
use crate::workspace::Workspace;

/// Unchanged lines around a change, as in the output of `diff -u`.
const CONTEXT: usize = 3;

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, argument: &str) -> Result<String> {
    let (steps, names) = argument.split_once('#').unwrap_or((argument, ""));
    let &[old, new] = steps.split_whitespace().collect::<Vec<_>>().as_slice() else {
        bail!("`stepdiff` takes two steps, and perhaps items: {{{{#stepdiff step01-uts step02-pid #child}}}}");
    };
    let files = [old, new].map(|step| format!("{step}/src/main.rs"));
    let (old, new) = (workspace.read(&files[0])?, workspace.read(&files[1])?);
    if names.is_empty() {
        return block(&files, "", &hunks((&old, 0), (&new, 0)));
    }
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let mut lines = String::new();
    for name in &names {
        let find = |text: &str, file: &str| listing::find_item(text, name).map_err(|why| anyhow!("{file} {why}"));
        let (from, to) = (find(&old, &files[0])?, find(&new, &files[1])?);
        ensure!(from.is_some() || to.is_some(), "neither {} nor {} has an item `{name}`", files[0], files[1]);
        // An item that is new or gone is the difference itself.
        let (from, to) = (from.unwrap_or(0..0), to.unwrap_or(0..0));
        let changed = hunks((&listing::cut(&old, &from), from.start), (&listing::cut(&new, &to), to.start));
        ensure!(!changed.is_empty(), "`{name}` is the same in {} and {}", files[0], files[1]);
        lines += &changed;
    }
    block(&files, &format!(", {}", names.join(", ")), &lines)
}

/// Returns the hunks between two files, in a frame that names the files.
pub fn block([old, new]: &[String; 2], items: &str, hunks: &str) -> Result<String> {
    ensure!(!hunks.is_empty(), "{old} and {new} are the same");
    let (old, new, items) = (escape(old), escape(new), escape(items));
    Ok(format!(
        "<div class=\"diff-box\"><pre class=\"diff\" tabindex=\"0\" role=\"group\" aria-label=\"Difference from {old} to {new}{items}\">\
         <span class=\"lines\"><span class=\"file\">--- {old}&#10;</span><span class=\"file\">+++ {new}&#10;</span>{hunks}</span></pre></div>"
    ))
}

/// Returns the hunks of a difference, as HTML. Each text comes with the number of lines before it in its file.
pub fn hunks((old, old_offset): (&str, usize), (new, new_offset): (&str, usize)) -> String {
    let mut html = String::new();
    let diff = TextDiff::from_lines(old, new);
    for ops in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else { continue };
        let range = |start: usize, end: usize, offset: usize| match end - start {
            // As in the output of diff: an empty range is named by the line before it.
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
            let element = match change.tag() {
                ChangeTag::Delete => "del",
                ChangeTag::Insert => "ins",
                ChangeTag::Equal => "span",
            };
            let line = escape(change.value().trim_end_matches('\n'));
            let _ = write!(html, "<{element}>{}{line}&#10;</{element}>", change.tag());
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::html::{Token, tokens};

    proptest! {
        #[test]
        fn a_difference_contains_both_texts(old in "([ab<&]{0,2}\n){0,3}", new in "([ab<&]{0,2}\n){0,3}") {
            let html = hunks((&old, 0), (&new, 0));
            let (mut before, mut after, mut element) = (String::new(), String::new(), String::new());
            for (_, token) in tokens(&html) {
                match token {
                    Token::Start(name, attributes) => {
                        element = if attributes.is_empty() { name } else { "hunk".to_owned() };
                    }
                    Token::Text(line) => {
                        before.push_str(if ["del", "span"].contains(&element.as_str()) { &line[1..] } else { "" });
                        after.push_str(if ["ins", "span"].contains(&element.as_str()) { &line[1..] } else { "" });
                    }
                    Token::End(_) => {}
                }
            }
            // The texts are so short that every line is near a change, if there is one.
            let expected = if old == new { (String::new(), String::new()) } else { (old, new) };
            prop_assert_eq!((before, after), expected);
        }
    }
}
