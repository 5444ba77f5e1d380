//! As much of HTML and SVG as a check needs: tags, attributes, text. What is read here was written by a program, or is a
//! diagram; a browser's patience with broken markup is not needed.

use std::borrow::Cow;

/// A piece of a document.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `<name …>`; `empty` if it ends in `/>`.
    Open {
        /// In lower case.
        name: String,
        /// Names as written, values decoded.
        attributes: Vec<(&'a str, Cow<'a, str>)>,
        /// Closed on the spot.
        empty: bool,
    },
    /// `</name>`, in lower case.
    Close(String),
    /// Text as written: see [`decode`].
    Text(&'a str),
    /// The text of a script or a style sheet.
    Raw(&'a str),
}

/// Cuts a document into tokens, each with its byte offset. Comments and declarations are left out.
pub fn tokens(document: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < document.len() {
        let rest = &document[at..];
        let skip = |end: &str| rest.find(end).map_or(rest.len(), |found| found + end.len());
        let length = if rest.starts_with("<!--") {
            skip("-->")
        } else if rest.starts_with("<!") || rest.starts_with("<?") {
            skip(">")
        } else if let Some(name) = rest.strip_prefix("</") {
            let name: String = name.chars().take_while(|c| !c.is_whitespace() && *c != '>').collect();
            tokens.push((at, Token::Close(name.to_ascii_lowercase())));
            skip(">")
        } else if rest.starts_with('<') && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (token, length) = open_tag(rest);
            let raw = match &token {
                Token::Open { name, empty: false, .. } if name == "script" || name == "style" => {
                    Some(format!("</{name}"))
                }
                _ => None,
            };
            tokens.push((at, token));
            let raw =
                raw.map_or(0, |end| rest[length..].to_ascii_lowercase().find(&end).unwrap_or(rest.len() - length));
            if raw > 0 {
                tokens.push((at + length, Token::Raw(&rest[length..length + raw])));
            }
            length + raw
        } else {
            let length = rest.char_indices().skip(1).find(|(_, c)| *c == '<').map_or(rest.len(), |(index, _)| index);
            tokens.push((at, Token::Text(&rest[..length])));
            length
        };
        at += length;
    }
    tokens
}

fn open_tag(rest: &str) -> (Token<'_>, usize) {
    let name_end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
    let name = rest[1..name_end].to_ascii_lowercase();
    let mut attributes = Vec::new();
    let mut empty = false;
    let mut at = name_end;
    loop {
        at += rest[at..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - at);
        let here = &rest[at..];
        match here.as_bytes().first() {
            None => break,
            Some(b'>') => {
                at += 1;
                break;
            }
            Some(b'/') => {
                empty = here[1..].starts_with('>');
                at += 1;
            }
            Some(_) => {
                let stop = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
                // A lone `=` begins no name: step over it, so that the loop ends.
                let end = here.find(stop).unwrap_or(here.len()).max(1);
                let key = &here[..end];
                let after = here[end..].trim_start();
                let Some(value) = after.strip_prefix('=').map(str::trim_start) else {
                    attributes.push((key, Cow::Borrowed("")));
                    at += end;
                    continue;
                };
                let (value, rest_after) = match value.as_bytes().first() {
                    Some(quote @ (b'"' | b'\'')) => {
                        value[1..].split_once(char::from(*quote)).unwrap_or((&value[1..], ""))
                    }
                    _ => value.split_at(value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len())),
                };
                attributes.push((key, decode(value)));
                at = rest.len() - rest_after.len();
            }
        }
    }
    (Token::Open { name, attributes, empty }, at)
}

/// Text with its character references replaced, those that the programs around here write.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let reference = after.split_once(';').and_then(|(name, behind)| Some((character(name)?, behind)));
        match reference {
            Some((c, behind)) => {
                decoded.push(c);
                rest = behind;
            }
            None => {
                decoded.push('&');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    decoded.into()
}

fn character(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => number(digits, 16),
            None => number(&name[1..], 10),
        },
    }
}

/// Text as HTML that stays one line, as a blank line would end the HTML block for Markdown.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_cut_into_its_tags_and_texts() {
        let document =
            r#"<!DOCTYPE html><!-- <a> --><A class=x href='a&amp;b' hidden>1 < 2 é</a><br/><script>"<b>"</script>"#;
        let tokens: Vec<Token<'_>> = tokens(document).into_iter().map(|(_, token)| token).collect();
        let open = |name: &str, attributes: &[(&'static str, &'static str)], empty| Token::Open {
            name: name.to_owned(),
            attributes: attributes.iter().map(|&(key, value)| (key, value.into())).collect(),
            empty,
        };
        let expected = [
            open("a", &[("class", "x"), ("href", "a&b"), ("hidden", "")], false),
            Token::Text("1 "),
            Token::Text("< 2 é"),
            Token::Close("a".to_owned()),
            open("br", &[], true),
            open("script", &[], false),
            Token::Raw("\"<b>\""),
            Token::Close("script".to_owned()),
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn what_is_escaped_decodes_to_the_same_in_one_line() {
        let text = "a < b && \"c\" > 'd'\n\n&lt;é\n";
        assert!(!escape(text).contains('\n'));
        assert_eq!(decode(&escape(text)), text);
        assert_eq!(decode("AT&T; &#x27;&#39; &nope"), "AT&T; '' &nope");
    }

    #[test]
    fn broken_markup_does_not_hang() {
        for broken in ["<a", "<a =", "<a ==x>", "<a href=\"x", "<script>x", "</", "<", "<é", "é<", "<!--", "&#;", "<a/"]
        {
            let _ = tokens(broken);
            let _ = decode(broken);
        }
    }

    proptest! {
        #[test]
        fn any_document_is_cut_in_order(document in "(<|>|/|!--|-->|=|\"|'|&|;|a|script|style|</script>| |\n|é|.){0,40}") {
            let mut last = None;
            for (at, token) in tokens(&document) {
                prop_assert!(document.is_char_boundary(at) && last.is_none_or(|last| last < at));
                last = Some(at);
                if let Token::Text(text) | Token::Raw(text) = token {
                    prop_assert!(document[at..].starts_with(text));
                    let _ = decode(text);
                }
            }
        }

        #[test]
        fn whatever_is_escaped_decodes_to_the_same_in_one_line(text: String, entities in "(&|;|#|x|[0-9a-f]|amp|\n|<|\"){0,20}") {
            for text in [text, entities] {
                let escaped = escape(&text);
                prop_assert!(!escaped.contains(['\n', '<', '"']));
                prop_assert_eq!(decode(&escaped), text.as_str());
                // As text, and as the value of an attribute.
                let html = format!("<a title=\"{escaped}\">{escaped}</a>");
                let attributes = vec![("title", text.as_str().into())];
                let mut expected = vec![Token::Open { name: "a".to_owned(), attributes, empty: false }];
                expected.extend((!text.is_empty()).then_some(Token::Text(&escaped)));
                expected.push(Token::Close("a".to_owned()));
                prop_assert_eq!(tokens(&html).into_iter().map(|(_, token)| token).collect::<Vec<_>>(), expected);
            }
        }
    }
}
