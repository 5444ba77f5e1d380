//! The built pages, read as a browser would: every link and fragment leads somewhere, and nothing is left over.
//!
//! `print.html` is left out: mdBook makes it of the same chapters, with links and ids rewritten.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::directives::Replaced;
use crate::html::{Token, decode, tokens};
use crate::problem::{Problem, lines_of};

/// The chapter that a page was made of.
#[derive(Debug, Clone)]
pub struct Source {
    /// As problems name it.
    pub file: String,
    /// As mdBook got it.
    pub replaced: Replaced,
}

impl Source {
    /// The lines, as they were written, that the first of `needles` comes from which is there at all.
    pub fn lines_of(&self, needles: &[impl AsRef<str>]) -> Vec<usize> {
        let lines = lines_of(&self.replaced.text, needles);
        lines.into_iter().filter_map(|line| self.replaced.lines.get(line - 1).copied()).collect()
    }

    /// The lines that hold a link which the page has as `link`.
    fn lines_of_link(&self, link: &str) -> Vec<usize> {
        // mdBook writes .html where the text says .md, and escapes what may not be in an address.
        let forms = [link.replace(".html", ".md"), link.to_owned()];
        let forms: Vec<String> = forms.into_iter().flat_map(|form| [percent_decoded(&form), form]).collect();
        let around = [("](", ")"), ("](", " "), ("<", ">"), ("\"", "\""), ("'", "'"), ("]: ", "")];
        let marked =
            around.iter().flat_map(|(before, after)| forms.iter().map(move |form| format!("{before}{form}{after}")));
        let mut lines: Vec<usize> = marked.flat_map(|marked| self.lines_of(&[marked])).collect();
        lines.sort_unstable();
        lines.dedup();
        if lines.is_empty() { self.lines_of(&forms) } else { lines }
    }
}

/// What a page has to say.
#[derive(Debug, Default)]
struct Page {
    ids: HashSet<String>,
    /// Attribute and value.
    links: Vec<(String, String)>,
    /// A message, what to look for in the source, best first, and which of the lines that hold it are to blame.
    faults: Vec<(String, Vec<String>, Which)>,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    Second,
}

/// Checks every page below `folder`. `sources` are by page; `site` is the path the 404 page counts from.
///
/// # Errors
/// When the pages can't be read.
pub fn pages(folder: &Path, sources: &HashMap<String, Source>, site: &str) -> Result<Vec<Problem>> {
    let mut files = HashSet::new();
    list(folder, "", &mut files).with_context(|| format!("listing {}", folder.display()))?;
    let mut pages = HashMap::new();
    for file in files.iter().filter(|file| file.ends_with(".html") && *file != "print.html") {
        let html = fs::read_to_string(folder.join(file)).with_context(|| format!("reading {file}"))?;
        pages.insert(file.as_str(), read(&html, sources.get(file).map_or(0, |source| source.replaced.braces)));
    }
    let mut problems = Vec::new();
    for (name, page) in &pages {
        let source = sources.get(*name);
        let mut report = |message: &str, lines: &[usize]| match source {
            None => problems.push(Problem::of_file(format!("{name} (made by mdBook)"), message)),
            Some(source) if lines.is_empty() => problems.push(Problem::of_file(&source.file, message)),
            Some(source) => problems.extend(lines.iter().map(|line| Problem::at(&source.file, *line, message))),
        };
        for (message, needles, which) in &page.faults {
            let lines = source.map(|source| source.lines_of(needles)).unwrap_or_default();
            report(
                message,
                match which {
                    Which::All => &lines,
                    // If the first two are on one line, that is the only one.
                    Which::Second => lines.get(1).or(lines.first()).map(std::slice::from_ref).unwrap_or_default(),
                },
            );
        }
        for (attribute, link) in &page.links {
            let base = (*name == "404.html").then_some(site);
            let Err(why) = resolve(name, link, base, &files, &pages) else { continue };
            let what = if attribute == "src" { "image or file" } else { "link" };
            let lines = source.map(|source| source.lines_of_link(link)).unwrap_or_default();
            report(&format!("dead {what} `{link}`: {why}"), &lines);
        }
    }
    Ok(problems)
}

/// The files below a folder, as addresses.
fn list(folder: &Path, prefix: &str, files: &mut HashSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name);
        }
    }
    Ok(())
}

fn read(html: &str, expected_braces: usize) -> Page {
    let mut page = Page::default();
    let (mut braces, mut in_code, mut in_pre) = (0, 0_usize, 0_usize);
    let tokens = tokens(html);
    for (index, (_, token)) in tokens.iter().enumerate() {
        match token {
            Token::Open { name, attributes, empty } => {
                for (key, value) in attributes {
                    match *key {
                        "id" if !page.ids.insert(value.to_string()) => page.faults.push((
                            format!("the id `{value}` is twice on the page"),
                            vec![format!("id=\"{value}\""), format!("{{#{value}"), value.to_string()],
                            Which::Second,
                        )),
                        "href" | "xlink:href" | "src" | "data" | "poster" => {
                            page.links
                                .push((if *key == "href" { "href" } else { "src" }.to_owned(), value.to_string()));
                        }
                        _ => {}
                    }
                    if value.contains("{{#") {
                        let needles = vec![value.to_string(), "{{#".to_owned()];
                        page.faults.push((format!("`{value}` is left over"), needles, Which::All));
                    }
                }
                if name == "code" && in_pre > 0 && is_empty(&tokens[index + 1..]) {
                    page.faults.push((
                        "an empty code block".to_owned(),
                        vec!["<pre><code>".to_owned(), "<pre><code".to_owned(), "<code></code>".to_owned()],
                        Which::All,
                    ));
                }
                in_pre += usize::from(name == "pre" && !empty);
                in_code += usize::from(name == "code" && !empty);
            }
            Token::Close(name) => {
                in_pre = in_pre.saturating_sub(usize::from(name == "pre"));
                in_code = in_code.saturating_sub(usize::from(name == "code"));
            }
            Token::Text(text) => {
                let text = decode(text);
                braces += text.matches("{{#").count();
                for kind in ["[!NOTE]", "[!TIP]", "[!IMPORTANT]", "[!WARNING]", "[!CAUTION]"] {
                    if in_code + in_pre == 0 && text.to_ascii_uppercase().contains(kind) {
                        let message = format!("`{kind}` is shown as it is: it must be the whole first line of a quote");
                        page.faults.push((message, vec![kind.to_owned(), kind.to_ascii_lowercase()], Which::All));
                    }
                }
            }
            Token::Raw(_) => {}
        }
    }
    if braces > expected_braces {
        page.faults.push(("a directive, `{{#`, is left over".to_owned(), vec!["{{#".to_owned()], Which::All));
    }
    page
}

/// Is there nothing before the element's end?
fn is_empty(tokens: &[(usize, Token<'_>)]) -> bool {
    for (_, token) in tokens {
        match token {
            Token::Close(name) if name == "code" => return true,
            Token::Text(text) if !decode(text).trim().is_empty() => return false,
            _ => {}
        }
    }
    true
}

/// Where does a link of a page lead? Links out of the book are not followed: a book must build without a network.
fn resolve(
    page: &str,
    link: &str,
    site: Option<&str>,
    files: &HashSet<String>,
    pages: &HashMap<&str, Page>,
) -> Result<(), String> {
    let scheme = link.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if scheme || link.starts_with("//") {
        return Ok(());
    }
    let (address, fragment) =
        link.split_once('#').map_or((link, None), |(address, fragment)| (address, Some(fragment)));
    let address = percent_decoded(address.split('?').next().unwrap_or_default());
    let relative = match site {
        Some(site) => address.strip_prefix(site).unwrap_or(&address),
        None => &address,
    };
    if relative.starts_with('/') {
        return Err("it begins with `/`, but the book may not be at the top of its site".to_owned());
    }
    let mut parts: Vec<&str> = if relative.is_empty() { page.split('/').collect() } else { folder_of(page) };
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("it leaves the book")?;
            }
            part => parts.push(part),
        }
    }
    let mut target = parts.join("/");
    if !files.contains(&target) {
        let index = if target.is_empty() { "index.html".to_owned() } else { format!("{target}/index.html") };
        if !files.contains(&index) {
            return Err("there is no such page or file in the book".to_owned());
        }
        target = index;
    }
    let Some(fragment) = fragment.map(percent_decoded).filter(|fragment| !fragment.is_empty() && fragment != "top")
    else {
        return Ok(());
    };
    match pages.get(target.as_str()) {
        Some(page) if !page.ids.contains(&fragment) => {
            Err(format!("no heading or element there has the id `{fragment}`"))
        }
        _ => Ok(()),
    }
}

fn folder_of(page: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    parts
}

/// `%20` and so on, replaced.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_lead_where_a_browser_would_go() {
        let files: HashSet<String> =
            ["index.html", "a.html", "b/index.html", "b/c.html", "b/é.png"].map(str::to_owned).into();
        let page = |ids: &[&str]| Page { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Page::default() };
        let pages = HashMap::from([
            ("a.html", page(&["x"])),
            ("b/c.html", page(&["ü"])),
            ("b/index.html", page(&[])),
            ("index.html", page(&[])),
        ]);
        let go = |link| resolve("b/c.html", link, None, &files, &pages);
        for good in [
            "",
            "#",
            "#top",
            "#%C3%BC",
            "../a.html#x",
            "c.html#ü",
            ".",
            "./",
            "..",
            "../b/",
            "%C3%A9.png",
            "https://x",
            "mailto:a@b",
            "c.html?q#ü",
        ] {
            assert_eq!(go(good), Ok(()), "{good}");
        }
        for dead in ["#x", "../a.html#y", "a.html", "../../a.html", "/a.html", "d/", "é.jpg"] {
            assert!(go(dead).is_err(), "{dead}");
        }
        assert_eq!(resolve("404.html", "/s/a.html", Some("/s/"), &files, &pages), Ok(()));
    }

    proptest! {
        #[test]
        fn any_page_and_any_link_are_read(html in "(<a href=|<pre>|<code>|</code>| id=|\"|>|\\[!NOTE\\]|\\{\\{#|#|é|.){0,30}", link in "(\\.\\./|/|#|\\?|:|%|[0-9a-f]|é|.){0,12}") {
            let page = read(&html, 0);
            prop_assert!(html.contains("{{#") || !page.faults.iter().any(|(fault, ..)| fault.contains("left over")));
            let files = HashSet::from(["index.html".to_owned()]);
            let _ = resolve("b/c.html", &link, None, &files, &HashMap::from([("index.html", page)]));
            let encoded: String = link.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(percent_decoded(&encoded), link);
        }
    }
}
