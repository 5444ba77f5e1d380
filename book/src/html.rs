//! HTML and SVG: written in one line, and read with html5ever, as mdBook does.

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, TagKind, Token as Html, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// A piece of a document. Names are in lower case, and character references are decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    /// A tag that opens an element, with the names and values of its attributes.
    Start(String, Vec<(String, String)>),
    /// A tag that closes an element.
    End(String),
    /// A text, which may be that of a script or a style sheet.
    Text(String),
}

/// Cuts a document into tokens, each with the line (counted from 1) on which it begins.
pub fn tokens(document: &str) -> Vec<(usize, Token)> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(document));
    let collector = Collector { line: Cell::new(1), tokens: RefCell::default() };
    let tokenizer = Tokenizer::new(collector, TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.tokens.take()
}

struct Collector {
    /// Where the last token ended, so that the next one begins there.
    line: Cell<usize>,
    tokens: RefCell<Vec<(usize, Token)>>,
}

impl TokenSink for Collector {
    type Handle = ();

    fn process_token(&self, token: Html, line: u64) -> TokenSinkResult<()> {
        let mut tokens = self.tokens.borrow_mut();
        if let Html::ParseError(_) = token {
            return TokenSinkResult::Continue;
        }
        let start = self.line.replace(line as usize);
        match (token, tokens.last_mut()) {
            (Html::CharacterTokens(text), Some((_, Token::Text(before)))) => before.push_str(&text),
            (Html::CharacterTokens(text), _) => tokens.push((start, Token::Text(text.to_string()))),
            (Html::TagToken(tag), _) if tag.kind == TagKind::EndTag => {
                tokens.push((start, Token::End(tag.name.to_string())))
            }
            (Html::TagToken(tag), _) => {
                let attributes = tag.attrs.iter().map(|it| (it.name.local.to_string(), it.value.to_string())).collect();
                tokens.push((start, Token::Start(tag.name.to_string(), attributes)));
                match &*tag.name {
                    "script" if !tag.self_closing => return TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" if !tag.self_closing => return TokenSinkResult::RawData(RawKind::Rawtext),
                    _ => {}
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Escapes text so that it stays one line, because a blank line would end the HTML block for Markdown.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_have_the_lines_where_they_begin() {
        let document = "<!DOCTYPE html>\n<!-- <a>\n--><A class=x\n href='a&amp;b' hidden>1 < 2\n\u{e9}&lt;</a><br/><style>\n\"<b>\"</style><script>\n</script>\n<i>";
        let start = |name: &str, attributes: &[(&str, &str)]| {
            Token::Start(name.to_owned(), attributes.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
        };
        let (text, end) = (|text: &str| Token::Text(text.to_owned()), |name: &str| Token::End(name.to_owned()));
        let expected = [
            (1, text("\n")),
            (3, start("a", &[("class", "x"), ("href", "a&b"), ("hidden", "")])),
            (4, text("1 < 2\n\u{e9}<")),
            (5, end("a")),
            (5, start("br", &[])),
            (5, start("style", &[])),
            (5, text("\n\"<b>\"")),
            (6, end("style")),
            (6, start("script", &[])),
            (6, text("\n")),
            (7, end("script")),
            (7, text("\n")),
            (8, start("i", &[])),
        ];
        assert_eq!(tokens(document), expected);
    }

    proptest! {
        #[test]
        fn escaped_text_is_one_line_and_decodes_to_itself(text in "(&|;|#|x|[0-9a-f]|amp|\n|<|\"|\\PC){0,20}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['\n', '<', '"']));
            // As text, and as the value of an attribute.
            let mut expected = vec![(1, Token::Start("a".to_owned(), vec![("title".to_owned(), text.clone())]))];
            expected.extend((!text.is_empty()).then_some((1, Token::Text(text))));
            prop_assert_eq!(tokens(&format!("<a title=\"{escaped}\">{escaped}")), expected);
        }
    }
}
