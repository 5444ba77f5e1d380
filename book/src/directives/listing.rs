//! `{{#listing step02-pid/src/main.rs#parent}}`: source as it is, a whole file, some of its items by name, or a region that
//! the source marks.

use std::ops::Range;
use std::path::Path;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{ImplItem, Item, TraitItem};

use crate::directives::Setting;
use crate::html::escape;

/// The block that takes the directive's place.
///
/// # Errors
/// What can't be found, or that there is nothing to show.
pub fn render(setting: &Setting<'_>, argument: &str) -> Result<String, String> {
    let (path, part) = match argument.find(['#', ':']) {
        Some(at) => (argument[..at].trim_end(), Some((&argument[at..=at], argument[at + 1..].trim()))),
        None => (argument, None),
    };
    let text = setting.places.read("", path)?.replace("\r\n", "\n");
    let code = match part {
        None => text,
        Some(("#", names)) => {
            let cut_out = |name: &str| {
                let lines = find_item(&text, name).map_err(|why| why.explain(path, name))?;
                Ok(dedent(&cut(&text, &lines)))
            };
            let items = names.split(',').map(|name| cut_out(name.trim())).collect::<Result<Vec<_>, String>>()?;
            items.join("\n")
        }
        Some((_, anchor)) => dedent(&cut(&text, &find_anchor(&text, anchor).map_err(|why| format!("{path}: {why}"))?)),
    };
    let code: String = code.lines().filter(|line| mark(line).is_none()).map(|line| format!("{line}\n")).collect();
    let code = code.trim_matches('\n');
    if code.trim().is_empty() {
        return Err(format!("the listing of {argument} is empty"));
    }
    let language = language(path);
    let code = if language == "rust" { unhide(code) } else { code.to_owned() };
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let name = format!("<code>{}</code>", escape(path));
    let caption = match setting.repository {
        Some(repository) => {
            format!("<a href=\"{}/blob/main/{}\">{name}</a>", repository.trim_end_matches('/'), escape(path))
        }
        None => name,
    };
    Ok(format!("<p class=\"listing\">{caption}</p>\n\n{fence}{language}\n{code}\n{fence}"))
}

fn language(path: &str) -> &'static str {
    let name = Path::new(path);
    match name.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => "rust",
        Some("toml") => "toml",
        Some("sh") => "sh",
        Some("yml" | "yaml") => "yaml",
        Some("json") => "json",
        _ => "text",
    }
}

/// mdBook hides a line of Rust that begins with `# `, as rustdoc does, and takes `##` for `#`.
fn unhide(code: &str) -> String {
    let visible = |line: &str| {
        let rest = line.trim_start();
        let hidden = rest.strip_prefix('#').is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '#']));
        if hidden { format!("{}#{rest}", &line[..line.len() - rest.len()]) } else { line.to_owned() }
    };
    code.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// Why a name does not name one item.
#[derive(Debug, PartialEq, Eq)]
pub enum NotOne {
    /// There is none.
    None,
    /// There are so many.
    Many(usize),
    /// The file is no Rust.
    NotRust(String),
}

impl NotOne {
    /// For who wrote the directive.
    pub fn explain(&self, path: &str, name: &str) -> String {
        match self {
            NotOne::None => format!("{path} has no item `{name}`"),
            NotOne::Many(count) => format!("{path} has {count} items `{name}`"),
            NotOne::NotRust(why) => format!("{path} can't be read as Rust: {why}"),
        }
    }
}

/// The lines (counted from 0) of an item with its attributes and doc comment. `name` is that of a function, type, constant …;
/// `impl Type` or `impl Trait for Type`; and with `::`, something inside of these or of a module.
///
/// # Errors
/// When it names none, or more than one.
pub fn find_item(text: &str, name: &str) -> Result<Range<usize>, NotOne> {
    let file =
        syn::parse_file(text).map_err(|why| NotOne::NotRust(format!("line {}: {why}", why.span().start().line)))?;
    let path: Vec<&str> = name.split("::").map(str::trim).collect();
    let mut found = Vec::new();
    in_items(&file.items, &path, &mut found);
    match found.as_slice() {
        [] => Err(NotOne::None),
        [span] => Ok(span.start().line - 1..span.end().line),
        many => Err(NotOne::Many(many.len())),
    }
}

fn in_items(items: &[Item], path: &[&str], found: &mut Vec<Span>) {
    let [first, rest @ ..] = path else { return };
    for item in items {
        match item {
            Item::Mod(module) if !rest.is_empty() && module.ident == first => {
                if let Some((_, items)) = &module.content {
                    in_items(items, rest, found);
                }
            }
            Item::Impl(block)
                if !rest.is_empty() && (impl_name(block) == *first || type_name(&block.self_ty) == *first) =>
            {
                for item in &block.items {
                    if impl_item_name(item).is_some_and(|name| rest == [name]) {
                        found.push(item.span());
                    }
                }
            }
            Item::Trait(block) if !rest.is_empty() && block.ident == first => {
                for item in &block.items {
                    if matches!(item, TraitItem::Fn(it) if rest.len() == 1 && it.sig.ident == rest[0]) {
                        found.push(item.span());
                    }
                }
            }
            _ if rest.is_empty() && item_name(item).is_some_and(|name| name == *first) => found.push(item.span()),
            _ => {}
        }
    }
}

fn item_name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Fn(it) => it.sig.ident.to_string(),
        Item::Const(it) => it.ident.to_string(),
        Item::Static(it) => it.ident.to_string(),
        Item::Struct(it) => it.ident.to_string(),
        Item::Enum(it) => it.ident.to_string(),
        Item::Union(it) => it.ident.to_string(),
        Item::Trait(it) => it.ident.to_string(),
        Item::Type(it) => it.ident.to_string(),
        Item::Mod(it) => it.ident.to_string(),
        Item::Macro(it) => it.ident.as_ref()?.to_string(),
        Item::Impl(it) => impl_name(it),
        _ => return None,
    })
}

fn impl_item_name(item: &ImplItem) -> Option<String> {
    match item {
        ImplItem::Fn(it) => Some(it.sig.ident.to_string()),
        ImplItem::Const(it) => Some(it.ident.to_string()),
        ImplItem::Type(it) => Some(it.ident.to_string()),
        _ => None,
    }
}

/// `impl Type` or `impl Trait for Type`, without paths and generics.
fn impl_name(block: &syn::ItemImpl) -> String {
    let last = |path: &syn::Path| path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
    match &block.trait_ {
        Some((implemented, _)) => format!("impl {} for {}", last(implemented), type_name(&block.self_ty)),
        None => format!("impl {}", type_name(&block.self_ty)),
    }
}

fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => String::new(),
    }
}

/// The lines between `ANCHOR: name` and `ANCHOR_END: name`.
fn find_anchor(text: &str, name: &str) -> Result<Range<usize>, String> {
    let places = |end: bool| -> Vec<usize> {
        let here = |line: &str| mark(line).is_some_and(|(is_end, marked)| is_end == end && marked == name);
        text.lines().enumerate().filter(|(_, line)| here(line)).map(|(index, _)| index).collect()
    };
    match (places(false).as_slice(), places(true).as_slice()) {
        ([], _) => Err(format!("there is no `ANCHOR: {name}`")),
        ([start], [end]) if start < end => Ok(start + 1..*end),
        ([_], []) => Err(format!("`ANCHOR: {name}` has no `ANCHOR_END: {name}`")),
        _ => Err(format!("`ANCHOR: {name}` and its end are not a pair")),
    }
}

/// Is the line a comment that marks an anchor: its end? and its name.
fn mark(line: &str) -> Option<(bool, &str)> {
    let comment = line.trim_start();
    let comment = comment.strip_prefix("//").or_else(|| comment.strip_prefix('#'))?.trim();
    let end = comment.strip_prefix("ANCHOR_END:");
    let name = end.or_else(|| comment.strip_prefix("ANCHOR:"))?;
    Some((end.is_some(), name.trim()))
}

/// Some lines of a text.
pub fn cut(text: &str, lines: &Range<usize>) -> String {
    text.lines().skip(lines.start).take(lines.len()).map(|line| format!("{line}\n")).collect()
}

/// Moves a text left as far as all of it can go.
fn dedent(text: &str) -> String {
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let least = text.lines().filter(|line| !line.trim().is_empty()).map(spaces).min().unwrap_or(0);
    text.lines().map(|line| format!("{}\n", line.get(least..).unwrap_or(""))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "\
//! Doc.

/// Why.
#[derive(Debug)]
struct A {
    b: u8,
}

impl A {
    /// Inner.
    fn f(&self) {}
}

impl Drop for A {
    fn drop(&mut self) {}
}

const N: u8 = 1;

mod tests {
    #[test]
    fn a_sentence() {
        assert!(true);
    }
}

#[cfg(unix)]
fn twice() {}
#[cfg(not(unix))]
fn twice() {}
";

    #[test]
    fn an_item_is_found_by_name_with_its_comment_and_attributes() {
        let lines = |name| find_item(SOURCE, name).map(|lines| cut(SOURCE, &lines));
        assert_eq!(lines("A").as_deref(), Ok("/// Why.\n#[derive(Debug)]\nstruct A {\n    b: u8,\n}\n"));
        assert_eq!(lines("N").as_deref(), Ok("const N: u8 = 1;\n"));
        assert_eq!(lines("A::f").as_deref(), Ok("    /// Inner.\n    fn f(&self) {}\n"));
        assert!(lines("impl A").unwrap().starts_with("impl A {\n"));
        assert!(lines("impl Drop for A").unwrap().contains("fn drop"));
        assert!(lines("tests::a_sentence").unwrap().starts_with("    #[test]\n"));
        assert_eq!(lines("B"), Err(NotOne::None));
        assert_eq!(lines("twice"), Err(NotOne::Many(2)));
        assert!(matches!(find_item("fn {", "x"), Err(NotOne::NotRust(_))));
    }

    #[test]
    fn an_anchor_is_a_pair() {
        let text = "a\n// ANCHOR: x\nb\n# ANCHOR: y\nc\n// ANCHOR_END: x\nd\n";
        assert_eq!(find_anchor(text, "x"), Ok(2..5));
        assert!(find_anchor(text, "y").unwrap_err().contains("has no `ANCHOR_END: y`"));
        assert!(find_anchor(text, "z").unwrap_err().contains("no `ANCHOR: z`"));
    }

    #[test]
    fn mdbook_hides_no_line() {
        assert_eq!(unhide("# a\n  #\n#[b]\n#![c]\n## d\n#e"), "## a\n  ##\n#[b]\n#![c]\n### d\n#e");
    }

    proptest! {
        #[test]
        fn any_source_is_searched(text in "(fn |a|::|\\{|\\}|\\(\\)|impl |struct |;|\n|//|ANCHOR: |ANCHOR_END: |#|\"|'|é| ){0,30}", name in "(a|::|impl | |for |x){0,5}") {
            if let Ok(lines) = find_item(&text, &name) {
                prop_assert!(lines.start < lines.end && lines.end <= text.lines().count());
            }
            if let Ok(lines) = find_anchor(&text, &name) {
                prop_assert!(lines.start <= lines.end && lines.end < text.lines().count());
            }
        }

        #[test]
        fn an_item_is_found_between_any_others(before in "[a-z]{0,3}", after in "[a-z]{0,3}", body in "[a-z; \n]{0,9}") {
            let text = format!("fn q{before}() {{}}\n/// Why.\nfn wanted() {{ /* {body} */ }}\nfn q{before}{after}z() {{}}\n");
            let lines = find_item(&text, "wanted").unwrap();
            prop_assert_eq!(cut(&text, &lines), format!("/// Why.\nfn wanted() {{ /* {body} */ }}\n"));
        }

        #[test]
        fn what_is_moved_left_stays_the_same_otherwise(text in "([ ]{0,4}\\PC{0,5}\n){0,6}", by in 0..9_usize) {
            let moved: String = text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect();
            let is_blank = |line: &&str| line.trim().is_empty();
            let (one, other) = (dedent(&text), dedent(&moved));
            let lines = |text: &str| text.lines().filter(|it| !is_blank(it)).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(lines(&one), lines(&other));
            prop_assert_eq!(one.lines().count(), text.lines().count());
        }
    }
}
