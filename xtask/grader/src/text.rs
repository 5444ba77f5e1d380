//! Text for a terminal: colours, and paragraphs as wide as the terminal.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::LazyLock;

use lab::output;
use lab::privilege::Privilege;

/// The value of `--privilege`; `None` is `auto`.
pub type Request = Option<Privilege>;

/// When to colour what is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into a pipe.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// True if stdout gets colours.
    pub fn is_on(self) -> bool {
        let wants_none = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Color::Auto => {
                io::stdout().is_terminal() && !wants_none() && env::var_os("TERM").is_none_or(|it| it != "dumb")
            }
            Color::Always => true,
            Color::Never => false,
        }
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
