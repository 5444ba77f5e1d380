//! Checks the built pages as a browser reads them: every link and fragment leads somewhere, and no directive is left over.
//!
//! `print.html` is skipped: mdBook makes it from the same chapters, with links and ids rewritten.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;

use crate::directives::Chapter;
use crate::html::{Token, tokens};
use crate::markdown;
use crate::problem::Problem;
use crate::workspace::{slashes, walk};

const ADMONITIONS: [&str; 5] = ["[!NOTE]", "[!TIP]", "[!IMPORTANT]", "[!WARNING]", "[!CAUTION]"];

impl Chapter {
    /// Returns the lines of the file that contain a text.
    pub fn lines_with(&self, text: &str) -> Vec<usize> {
        let lines = self.text.lines().zip(&self.lines).filter(|(line, _)| line.contains(text));
        lines.map(|(_, number)| *number).collect()
    }

    /// Returns the lines of the file with a link, or an id, that the page has as `value`.
    fn lines_of(&self, value: &str) -> Vec<usize> {
        // mdBook writes .html where the text has .md, and escapes what an address must not contain.
        let as_in_text = |value: &str| decoded(value).replace(".html", ".md");
        let values = markdown::positions(&self.text).values.into_iter();
        let same = values.filter(|(_, it)| as_in_text(it) == as_in_text(value));
        same.filter_map(|(line, _)| self.lines.get(line - 1).copied()).collect()
    }
}

/// A message, a text in the lines that cause it, and a function that finds these lines.
type Fault = (String, String, fn(&Chapter, &str) -> Vec<usize>);

/// What a page contains that must be checked.
#[derive(Default)]
struct Page {
    ids: HashSet<String>,
    /// The targets of links, and those of images and other files.
    links: Vec<(&'static str, String)>,
    faults: Vec<Fault>,
}

/// The files of a book, and what is to be checked in the pages.
type Files = HashMap<String, Option<Page>>;

/// Checks every page below `directory`. `chapters` are those of the pages; `site` is the path that the links of the 404 page
/// begin with.
pub fn pages(directory: &Path, chapters: &HashMap<String, Chapter>, site: &str) -> Result<Vec<Problem>> {
    let (mut paths, mut files) = (Vec::new(), Files::new());
    walk(directory, &|_| false, &mut paths).with_context(|| format!("listing {}", directory.display()))?;
    let one = |path: &PathBuf| -> Result<(String, Option<Page>)> {
        let name = slashes(path.strip_prefix(directory)?);
        let mut page = None;
        if name.ends_with(".html") && name != "print.html" {
            let html = fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
            // Directives that the text escapes are left over on purpose.
            page = Some(read(&html, chapters.get(&name).map_or(0, |chapter| chapter.text.matches("{{#").count())));
        }
        Ok((name, page))
    };
    // A quarter of a build's time. Every second file, because the large pages are next to each other.
    let half = |first: usize| paths.iter().skip(first).step_by(2).map(one).collect::<Result<Vec<_>>>();
    let halves = thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().unwrap_or_else(|panic| panic::resume_unwind(panic))]
    });
    for half in halves {
        files.extend(half?);
    }
    let mut problems = Vec::new();
    for (name, page) in files.iter().filter_map(|(name, page)| Some((name, page.as_ref()?))) {
        let base = if name == "404.html" { site } else { "" };
        let dead = page.links.iter().filter_map(|(kind, link)| {
            let why = resolve(name, link, base, &files).err()?;
            Some((format!("dead {kind} `{link}`: {why}"), link.clone(), Chapter::lines_of as _))
        });
        for (message, text, find) in page.faults.iter().cloned().chain(dead) {
            let Some(chapter) = chapters.get(name) else {
                problems.push(Problem::new(format!("{name} (made by mdBook)"), None, message));
                continue;
            };
            let lines = find(chapter, &text);
            let unknown = lines.is_empty().then_some(None);
            let lines = lines.into_iter().map(Some).chain(unknown);
            problems.extend(lines.map(|line| Problem::new(&chapter.file, line, &message)));
        }
    }
    Ok(problems)
}

fn read(html: &str, escaped_directives: usize) -> Page {
    let mut page = Page::default();
    let mut directives = 0;
    // The names of the elements around a token: only those that matter here.
    let mut around: Vec<String> = Vec::new();
    let mut code_is_empty = false;
    for (_, token) in tokens(html) {
        match token {
            Token::Start(name, attributes) => {
                for (key, value) in attributes {
                    match key.as_str() {
                        "id" if page.ids.contains(&value) => {
                            let message = format!("the id `{value}` is twice on the page");
                            page.faults.push((message, value, Chapter::lines_of));
                        }
                        "id" => drop(page.ids.insert(value)),
                        "href" => page.links.push(("link", value)),
                        "xlink:href" | "src" | "data" | "poster" => page.links.push(("image or file", value)),
                        _ => {}
                    }
                }
                if ["pre", "code", "script", "style"].contains(&name.as_str()) {
                    code_is_empty = name == "code" && around.last().is_some_and(|it| it == "pre");
                    around.push(name);
                }
            }
            Token::End(name) if around.last() == Some(&name) => {
                around.pop();
                if name == "code" && code_is_empty {
                    page.faults.push(("an empty code block".to_owned(), "<pre><code".to_owned(), Chapter::lines_with));
                    code_is_empty = false;
                }
            }
            Token::End(_) => {}
            Token::Text(text) => {
                code_is_empty &= text.trim().is_empty();
                directives += text.matches("{{#").count();
                let upper = text.to_ascii_uppercase();
                for kind in ADMONITIONS.into_iter().filter(|kind| around.is_empty() && upper.contains(kind)) {
                    let message = format!("`{kind}` is shown as it is: it must be the complete first line of a quote");
                    page.faults.push((message, "[!".to_owned(), Chapter::lines_with));
                }
            }
        }
    }
    if directives > escaped_directives {
        page.faults.push(("a directive, `{{#`, is left over".to_owned(), "{{#".to_owned(), Chapter::lines_with));
    }
    page
}

/// Checks where a link of a page leads. Links out of the book are not followed, because a book must build without a network.
fn resolve(page: &str, link: &str, site: &str, files: &Files) -> Result<(), String> {
    let scheme = link.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !scheme.is_empty() && scheme.chars().all(is_scheme) || link.starts_with("//") {
        return Ok(());
    }
    let (address, fragment) = link.split_once('#').unwrap_or((link, ""));
    let address = decoded(address.split('?').next().unwrap_or_default());
    let relative = address.strip_prefix(site).unwrap_or(&address);
    if relative.starts_with('/') {
        return Err("it begins with `/`, but the book may not be at the top of its site".to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    if !relative.is_empty() {
        parts.pop();
    }
    for part in relative.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop().ok_or("it leaves the book")?;
        } else {
            parts.push(part);
        }
    }
    let target = parts.join("/");
    let index = format!("{target}/index.html");
    let target = files.get(&target).or_else(|| files.get(index.trim_start_matches('/')));
    let fragment = decoded(fragment);
    match target.ok_or("there is no such page or file in the book")? {
        Some(page) if !fragment.is_empty() && fragment != "top" && !page.ids.contains(&fragment) => {
            Err(format!("no heading or element there has the id `{fragment}`"))
        }
        _ => Ok(()),
    }
}

/// Replaces `%20` and the like.
pub(crate) fn decoded(address: &str) -> String {
    percent_decode_str(address).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_a_browser_goes() {
        let page = |id: &str| Some(Page { ids: [id.to_owned()].into(), ..Page::default() });
        let pages = [("index.html", page("")), ("a.html", page("x")), ("b/c.html", page("\u{fc}"))];
        let others = [("b/index.html", None), ("b/\u{e9}.png", None)];
        let files = pages.into_iter().chain(others).map(|(name, page)| (name.to_owned(), page)).collect();
        let follow = |link| resolve("b/c.html", link, "", &files);
        let relative = ["", "../a.html#x", "c.html#\u{fc}", "c.html?q#\u{fc}", ".", "./", "..", "../b/", "%C3%A9.png"];
        let others = ["#", "#top", "#%C3%BC", "https://x", "mailto:a@b", "//x"];
        for good in relative.into_iter().chain(others) {
            assert_eq!(follow(good), Ok(()), "{good}");
        }
        for dead in ["#x", "../a.html#y", "a.html", "../../a.html", "/a.html", "d/", "\u{e9}.jpg"] {
            assert!(follow(dead).is_err(), "{dead}");
        }
        assert_eq!(resolve("404.html", "/s/a.html", "/s/", &files), Ok(()));
        assert!(resolve("404.html", "/t/a.html", "/s/", &files).is_err());
    }
}
