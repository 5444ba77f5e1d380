//! Finds the lines of a chapter's Markdown, because mdBook's HTML has no line numbers.

use std::iter;
use std::mem;
use std::ops::RangeInclusive;

use mdbook_markdown::pulldown_cmark::{Event, Tag, TagEnd};
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};

use crate::html::{Token, tokens};

/// The lines (counted from 1) of a chapter's parts.
#[derive(Debug, Default)]
pub struct Positions {
    /// The lines of each code block, with their fences, and whether there is nothing in it.
    pub code: Vec<(RangeInclusive<usize>, bool)>,
    /// The targets of links and images, the ids of headings, and the values of all attributes in raw HTML.
    pub values: Vec<(usize, String)>,
}

/// Finds the positions in a text.
pub fn positions(text: &str) -> Positions {
    let starts: Vec<usize> = iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line = |at: usize| starts.partition_point(|start| *start <= at);
    let mut found = Positions::default();
    // The lines of a block, without the marks of a quote that it may be in.
    let mut html = String::new();
    for (event, range) in new_cmark_parser(text, &MarkdownOptions::default()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => found.code.push((line(range.start)..=line(range.end - 1), true)),
            Event::Text(words) if !words.trim().is_empty() => {
                if let Some((lines, is_empty)) = found.code.last_mut() {
                    *is_empty &= !lines.contains(&line(range.start));
                }
            }
            Event::Start(Tag::Link { dest_url: value, .. } | Tag::Image { dest_url: value, .. })
            | Event::Start(Tag::Heading { id: Some(value), .. }) => {
                found.values.push((line(range.start), value.into()))
            }
            Event::Html(part) => html.push_str(&part),
            Event::InlineHtml(_) | Event::End(TagEnd::HtmlBlock) => {
                if let Event::InlineHtml(tag) = event {
                    html = tag.to_string();
                }
                for (at, token) in tokens(&mem::take(&mut html)) {
                    let Token::Start(_, attributes) = token else { continue };
                    found.values.extend(attributes.into_iter().map(|(_, value)| (line(range.start) + at - 1, value)));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn links_ids_and_code_have_their_lines() {
        let text = "# A {#a}\n\nsee\n[b](b.md#x) and [c][c]\n\n- item\n\n  ```rust\n  ```\n\n> <a\n> id=\"d\">![e](e.png)</a>\n\n\
            <svg>\n<path id=\"f\"/>\n</svg>\n\n~~~\n```\n~~~\n\n    {{#x}}\n\n[c]: c.md\n";
        let found = positions(text);
        let values: Vec<_> = found.values.iter().map(|(line, value)| (*line, value.as_str())).collect();
        assert_eq!(values, [(1, "a"), (4, "b.md#x"), (4, "c.md"), (11, "d"), (12, "e.png"), (15, "f")]);
        assert_eq!(found.code, [(8..=9, true), (18..=20, false), (22..=22, false)]);
    }
}
