//! Text for a terminal: colours, and paragraphs as wide as the terminal.

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::LazyLock;

use clap::ColorChoice;
use lab::output;
use lab::privilege::Privilege;
use serde_json::Value;

/// The value of `--privilege`; `None` is `auto`.
pub type Request = Option<Privilege>;

/// True if stdout gets colours.
pub(crate) fn is_colored(choice: ColorChoice) -> bool {
    let wants_none = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Auto => {
            io::stdout().is_terminal() && !wants_none() && env::var_os("TERM").is_none_or(|it| it != "dumb")
        }
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    }
}

pub(crate) const BOLD: &str = "1";
pub(crate) const RED: &str = "31";
pub(crate) const GREEN: &str = "32";
pub(crate) const YELLOW: &str = "33";

/// Returns `text` in a style of console_codes(4), if there is one.
pub(crate) fn paint(text: &str, style: Option<&str>) -> String {
    style.map_or(text.to_owned(), |style| format!("\x1b[{style}m{text}\x1b[0m"))
}

/// Returns text of unknown origin so that a terminal shows it and doesn't obey it: an escape sequence, a control character or
/// a change of the writing direction becomes visible as `\x1b` or `\u{202e}`. Newlines and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        '\r' => "\\r".into(),
        c if is_invisible(c) && c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c if is_invisible(c) => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// True for a character that a terminal obeys instead of showing it, or that has no width.
fn is_invisible(c: char) -> bool {
    // Directions, joiners, separators, the soft hyphen, the byte order mark, and tags.
    let has_no_width = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || has_no_width
}

/// Returns a path as a shell reads it, so that it can be pasted.
pub(crate) fn quoted(path: &Path) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=~".contains(c);
    match path.to_str().filter(|text| !text.chars().any(is_invisible)) {
        None => format!("$'{}'", path.as_os_str().as_bytes().escape_ascii()),
        Some(text) if !text.is_empty() && !text.starts_with('~') && text.chars().all(is_plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Returns a JSON value as text for a file or a terminal, which finds nothing to obey in it.
pub(crate) fn json(value: &Value) -> String {
    let mut out = String::new();
    // Outside of strings serde_json writes ASCII alone, and no control character except newlines.
    for c in format!("{value:#}\n").chars() {
        if is_invisible(c) && c != '\n' {
            let units = &mut [0; 2];
            out.extend(c.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

static WIDTH: LazyLock<usize> = LazyLock::new(output::width);

/// Returns `text` wrapped, as lines behind `prefix`, which takes `indent` columns.
pub(crate) fn hanging(prefix: &str, indent: usize, text: &str) -> String {
    let wrapped = output::wrap(&text.replace('\n', " "), *WIDTH - indent, 0);
    format!("{prefix}{}\n", wrapped.replace('\n', &format!("\n{:indent$}", "")))
}

/// Returns Markdown with its paragraphs and lists wrapped, and with its code indented.
pub(crate) fn markdown(text: &str) -> String {
    let (mut out, mut paragraph, mut in_fence) = (String::new(), String::new(), false);
    for line in text.lines().chain([""]) {
        let is_fence = line.starts_with("```");
        let is_code = in_fence || is_fence || line.starts_with("    ");
        if !paragraph.is_empty() && (is_code || line.is_empty() || line.starts_with("- ")) {
            let indent = if paragraph.starts_with("- ") { 2 } else { 0 };
            out += &(output::wrap(&paragraph, *WIDTH, indent) + "\n");
            paragraph.clear();
        }
        match line {
            _ if is_fence => in_fence = !in_fence,
            "" => out.push('\n'),
            _ if in_fence => out += &format!("    {line}\n"),
            _ if is_code => out += &format!("{line}\n"),
            _ => paragraph += &format!("{}{}", if paragraph.is_empty() { "" } else { " " }, line.trim()),
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ESC, the 8-bit CSI, BEL, CR, a backspace, a right-to-left override, and a tag.
    const HOSTILE: &str = "\x1b[2J \u{9b}2J \x07 \r \x08 \u{202e} \u{e0041}";

    #[test]
    fn what_a_terminal_would_obey_is_visible() {
        assert_eq!(visible(HOSTILE), r"\x1b[2J \u{9b}2J \x07 \r \x08 \u{202e} \u{e0041}");
        assert_eq!(visible("line 1\n\tgrün 鯨"), "line 1\n\tgrün 鯨");
        let shown = json(&serde_json::json!({ "seen": HOSTILE }));
        assert!(!shown.contains(|c: char| is_invisible(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["seen"], HOSTILE);
    }

    #[test]
    fn a_path_is_quoted_only_if_a_shell_would_change_it() {
        for (path, text) in [
            ("/home/me/mine.py", "/home/me/mine.py"),
            ("/tmp/my dir/mine.py", "'/tmp/my dir/mine.py'"),
            ("/tmp/it's", r"'/tmp/it'\''s'"),
            ("/tmp/\x1b[2J'", r"$'/tmp/\x1b[2J\''"),
        ] {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }

    #[test]
    fn paragraphs_are_joined_and_code_stays() {
        let text = "one `a\nb` two\n- three\n  four\n- five\n\n```sh\nx  y\n\n  z\n```\nsix\n\n    code  1\n";
        let shown = "one `a b` two\n- three four\n- five\n\n    x  y\n\n      z\nsix\n\n    code  1\n";
        assert_eq!(markdown(text), shown);
    }

    #[test]
    fn a_paragraph_hangs_behind_its_prefix() {
        let text = "word ".repeat(30);
        let shown = hanging("\x1b[1mab\x1b[0m  ", 4, &text);
        assert!(
            shown.starts_with("\x1b[1mab\x1b[0m  word") && shown.lines().skip(1).all(|it| it.starts_with("    word"))
        );
    }
}
