//! `{{#listing step02-pid/src/main.rs#run}}`: source code, unchanged: a complete file, some of its items by name, or a region that
//! the source marks.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use proc_macro2::Span;
use syn::Item;
use syn::spanned::Spanned;

use crate::html::escape;
use crate::workspace::Workspace;

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, argument: &str) -> Result<String> {
    let (path, part) = argument.split_at(argument.find(['#', ':']).unwrap_or(argument.len()));
    let path = path.trim_end();
    let text = workspace.read(path)?;
    let code = if let Some(names) = part.strip_prefix('#') {
        let item = |name: &str| match find_item(&text, name.trim()) {
            Ok(Some(lines)) => Ok(dedent(&cut(&text, &lines))),
            Ok(None) => Err(anyhow!("{path} has no item `{}`", name.trim())),
            Err(why) => Err(anyhow!("{path} {why}")),
        };
        names.split(',').map(item).collect::<Result<Vec<_>>>()?.join("\n")
    } else if let Some(name) = part.strip_prefix(':') {
        dedent(&cut(&text, &find_anchor(&text, name.trim()).map_err(|why| anyhow!("{path}: {why}"))?))
    } else {
        text
    };
    let code: String = code.lines().filter(|line| anchor(line).is_none()).map(|line| format!("{line}\n")).collect();
    ensure!(!code.trim().is_empty(), "the listing of {argument} is empty");
    let language = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("rs") => "rust",
        Some("yml") => "yaml",
        Some(same @ ("toml" | "sh" | "yaml" | "json" | "diff")) => same,
        _ => "text",
    };
    let mut caption = format!("<code>{}</code>", escape(path));
    if let Some(repository) = &workspace.repository {
        caption = format!("<a href=\"{repository}/blob/HEAD/{}\">{caption}</a>", escape(path));
    }
    Ok(format!("<p class=\"listing\">{caption}</p>\n\n{}", code_block(language, &code)))
}

/// Returns code in a fence that nothing in it can end. mdBook hides a line of Rust that begins with `# `, and shows `##` as `#`.
pub fn code_block(language: &str, code: &str) -> String {
    let unhidden = |line: &str| {
        let rest = line.trim_start();
        let is_hidden = language == "rust" && (rest == "#" || rest.starts_with("# ") || rest.starts_with("##"));
        format!("{}{}{rest}\n", &line[..line.len() - rest.len()], if is_hidden { "#" } else { "" })
    };
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let code: String = code.trim_matches('\n').lines().map(unhidden).collect();
    format!("{fence}{language}\n{code}{fence}")
}

/// Finds the lines (counted from 0) of a Rust item with its attributes and doc comment. With `::`, `name` is that of an item
/// in a module. Returns `None` if there is no such item.
pub fn find_item(text: &str, name: &str) -> Result<Option<Range<usize>>, String> {
    let file = syn::parse_file(text)
        .map_err(|why| format!("can't be read as Rust: line {}: {why}", why.span().start().line))?;
    let mut found = Vec::new();
    search(&file.items, name, &mut found);
    match found.as_slice() {
        [] => Ok(None),
        [span] => Ok(Some(span.start().line - 1..span.end().line)),
        many => Err(format!("has {} items `{name}`", many.len())),
    }
}

fn search(items: &[Item], name: &str, found: &mut Vec<Span>) {
    for item in items {
        let ident = match item {
            Item::Const(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Fn(it) => &it.sig.ident,
            Item::Mod(it) => &it.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            Item::Type(it) => &it.ident,
            _ => continue,
        };
        if ident == name {
            found.push(item.span());
        }
        if let (Item::Mod(it), Some((module, name))) = (item, name.split_once("::"))
            && ident == module
        {
            search(it.content.as_ref().map_or(&[], |(_, items)| items), name, found);
        }
    }
}

/// Finds the lines between `ANCHOR: name` and `ANCHOR_END: name`.
fn find_anchor(text: &str, name: &str) -> Result<Range<usize>, String> {
    let lines = |wanted: (bool, &str)| -> Vec<usize> {
        text.lines().enumerate().filter(|(_, line)| anchor(line) == Some(wanted)).map(|(index, _)| index).collect()
    };
    match (lines((false, name)).as_slice(), lines((true, name)).as_slice()) {
        ([], _) => Err(format!("there is no `ANCHOR: {name}`")),
        ([start], [end]) if start < end => Ok(start + 1..*end),
        ([_], []) => Err(format!("`ANCHOR: {name}` has no `ANCHOR_END: {name}`")),
        _ => Err(format!("`ANCHOR: {name}` and `ANCHOR_END: {name}` are not a pair")),
    }
}

/// Returns what a line marks if it is the comment of an anchor: true for the end, and the name.
fn anchor(line: &str) -> Option<(bool, &str)> {
    let comment = line.trim_start();
    let comment = comment.strip_prefix("//").or_else(|| comment.strip_prefix('#'))?.trim();
    let end = comment.strip_prefix("ANCHOR_END:");
    let name = end.or_else(|| comment.strip_prefix("ANCHOR:"))?;
    Some((end.is_some(), name.trim()))
}

/// Returns some lines of a text.
pub fn cut(text: &str, lines: &Range<usize>) -> String {
    text.lines().skip(lines.start).take(lines.len()).map(|line| format!("{line}\n")).collect()
}

/// Removes the indentation that all lines of a text share.
fn dedent(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let least = text.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    text.lines().map(|line| format!("{}\n", line.get(least..).unwrap_or(""))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_item_is_found_by_name_with_its_comment_and_attributes() {
        let source = "//! Doc.\n\n/// Why.\n#[derive(Debug)]\nstruct A {\n    b: u8,\n}\n\nconst N: u8 = 1;\n\nimpl A {}\n\nmod tests {\n    \
            #[test]\n    fn a_sentence() {}\n}\n\n#[cfg(unix)]\nfn twice() {}\n#[cfg(not(unix))]\nfn twice() {}\n";
        let item = |name| find_item(source, name).map(|lines| lines.map(|lines| cut(source, &lines)));
        assert_eq!(item("A").unwrap().unwrap(), "/// Why.\n#[derive(Debug)]\nstruct A {\n    b: u8,\n}\n");
        assert_eq!(item("N").unwrap().unwrap(), "const N: u8 = 1;\n");
        assert_eq!(item("tests::a_sentence").unwrap().unwrap(), "    #[test]\n    fn a_sentence() {}\n");
        assert_eq!((item("B"), item("a_sentence")), (Ok(None), Ok(None)));
        assert_eq!(item("twice").unwrap_err(), "has 2 items `twice`");
        assert!(find_item("fn x() {}\nfn {", "x").unwrap_err().contains("line 2"));
    }

    #[test]
    fn an_anchor_is_a_pair() {
        let text = "a\n// ANCHOR: x\nb\n# ANCHOR: y\nc\n// ANCHOR_END: x\nd\n";
        assert_eq!(find_anchor(text, "x"), Ok(2..5));
        assert!(find_anchor(text, "y").unwrap_err().contains("has no `ANCHOR_END: y`"));
        assert!(find_anchor(text, "z").unwrap_err().contains("no `ANCHOR: z`"));
    }

    #[test]
    fn mdbook_hides_no_line_and_ends_no_fence() {
        assert_eq!(
            code_block("rust", "\n# a\n  #\n#[b]\n#![c]\n## d\n```\n"),
            "````rust\n## a\n  ##\n#[b]\n#![c]\n### d\n```\n````"
        );
    }

    proptest! {
        #[test]
        fn text_that_is_moved_left_stays_the_same_otherwise(text in "([ ]{0,4}\\PC{0,5}\n){0,6}", by in 0..9_usize) {
            let moved: String = text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect();
            let lines = |text: &str| text.lines().filter(|it| !it.trim().is_empty()).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(lines(&dedent(&text)), lines(&dedent(&moved)));
        }
    }
}
