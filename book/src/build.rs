//! From text to a book that may be shown.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;
use mdbook_driver::builtin_preprocessors::IndexPreprocessor;
use mdbook_driver::config::{Config, HtmlConfig};

use crate::check::{self, Source};
use crate::directives::{self, Setting};
use crate::places::Places;
use crate::problem::{Problem, Problems};
use crate::{warnings, workshop};

/// A book beside its final place, checked. Dropped without being published, it vanishes.
#[derive(Debug)]
pub struct Built {
    beside: PathBuf,
    place: PathBuf,
}

impl Built {
    /// Moves the book to its place, and returns that.
    ///
    /// # Errors
    /// When a folder can't be renamed; then the old book stays.
    pub fn publish(self) -> Result<PathBuf> {
        let old = self.beside.with_extension("old");
        let had_one = self.place.exists();
        if had_one {
            fs::rename(&self.place, &old).with_context(|| format!("moving {} away", self.place.display()))?;
        }
        if let Err(error) = fs::rename(&self.beside, &self.place) {
            if had_one {
                let _ = fs::rename(&old, &self.place);
            }
            return Err(error).with_context(|| format!("moving the book to {}", self.place.display()));
        }
        if had_one {
            fs::remove_dir_all(&old).with_context(|| format!("removing {}", old.display()))?;
        }
        Ok(self.place.clone())
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
    }
}

/// Builds and checks the book. `site` is the path it will be seen under, where that is not what `book.toml` says.
///
/// # Errors
/// [`Problems`], if the book is wrong; something else, if it could not be built.
pub fn build(places: &Places, site: Option<&str>) -> Result<Built> {
    Problems::none_in(pending_snapshots(places)?)?;
    let settings = places.book().join("book.toml");
    let mut config = Config::from_disk(&settings)
        .map_err(|error| Problem::of_file("book/book.toml", format!("{error:#}")))
        .map_err(Problems::from)?;
    // Ours replace mdBook's, which pass over what they can't find.
    config.build.use_default_preprocessors = false;
    config.build.create_missing = false;
    if let Some(site) = site {
        config.set("output.html.site-url", site)?;
    }
    let html: HtmlConfig = config.html_config().unwrap_or_default();
    let place = plain(&places.book().join(&config.build.build_dir));
    // Beside it, so that the move is a rename.
    let parent = place.parent().context("the book can't be the top of the file system")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let built = Built { beside: parent.join(format!(".book-{}.new", process::id())), place };
    config.build.build_dir = built.beside.clone();
    let text_folder = places.book().join(&config.book.src);
    let text_name = places.name(&text_folder);

    Problems::none_in(missing_chapters(places, &text_folder))?;
    let (book, _) = warnings::caught(|| MDBook::load_with_config(places.book(), config));
    let mut book = book
        .map_err(|error| Problems::from(Problem::of_file(format!("{text_name}/SUMMARY.md"), format!("{error:#}"))))?;
    book.with_preprocessor(IndexPreprocessor::new());

    let setting = Setting { places, repository: html.git_repository_url.as_deref() };
    let chapters: Vec<&str> = book.book.chapters().map(|chapter| chapter.content.as_str()).collect();
    // A fault of a text is its own, and not of each chapter that shows it.
    let mut problems = workshop::not_shown(places, &chapters)?;
    let mut sources = HashMap::new();
    book.book.for_each_mut(|item| {
        let BookItem::Chapter(chapter) = item else { return };
        let (Some(path), Some(source)) = (&chapter.path, &chapter.source_path) else { return };
        let file = format!("{text_name}/{}", slashes(source));
        let replaced = directives::replace(&setting, &file, &chapter.content, &mut problems);
        // IndexPreprocessor makes README.md the index of its folder.
        let page = if path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("readme")) {
            path.with_file_name("index.html")
        } else {
            path.with_extension("html")
        };
        chapter.content.clone_from(&replaced.text);
        let source = Source { file, replaced };
        if sources.is_empty() {
            // mdBook shows the first chapter there, too.
            sources.insert("index.html".to_owned(), source.clone());
        }
        sources.insert(slashes(&page), source);
    });
    Problems::none_in(problems)?;

    let (rendered, said) = warnings::caught(|| book.build());
    rendered.context("mdBook could not render the book")?;
    let mut problems: Vec<Problem> = said.iter().map(|said| of_warning(said, &text_name, &sources)).collect();
    problems.extend(check::pages(&built.beside, &sources, html.site_url.as_deref().unwrap_or("/"))?);
    Problems::none_in(problems)?;
    Ok(built)
}

/// A snapshot that nobody has looked at yet: the book would show the one before.
fn pending_snapshots(places: &Places) -> Result<Vec<Problem>> {
    let files = places.files().context("looking for pending snapshots")?;
    let names = files.iter().map(|path| places.name(path));
    let pending = names.filter(|name| name.ends_with(".snap.new") || name.ends_with(".pending-snap"));
    Ok(pending.map(|name| Problem::at(name, 1, "a pending snapshot: review it, then accept or remove it")).collect())
}

/// mdBook names a missing chapter, too, but only the first, and without the line.
fn missing_chapters(places: &Places, text_folder: &Path) -> Vec<Problem> {
    let summary = text_folder.join("SUMMARY.md");
    let name = places.name(&summary);
    let text = match fs::read_to_string(&summary) {
        Ok(text) => text,
        Err(error) => return vec![Problem::of_file(name, error.to_string())],
    };
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.is_empty() && !text_folder.join(target).is_file()) {
            problems.push(Problem::at(&name, index + 1, format!("there is no chapter {target}")));
        }
    }
    problems
}

/// mdBook's warnings name the chapter in backticks, and mostly the tag that is wrong.
fn of_warning(said: &str, text_name: &str, sources: &HashMap<String, Source>) -> Problem {
    let named: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let source = sources.values().find(|source| named.iter().any(|name| source.file == format!("{text_name}/{name}")));
    let Some(source) = source else { return Problem::of_file("book/book.toml", said) };
    // Without the `>`: the tag may have attributes.
    let tag = named.iter().find(|name| name.starts_with('<')).map(|tag| tag.trim_end_matches('>'));
    Problem {
        file: source.file.clone(),
        line: source.lines_of(tag.as_slice()).first().copied(),
        message: said.to_owned(),
    }
}

/// A relative path as an address has it.
fn slashes(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A path with its `..` resolved by name: what they step over need not exist yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path {
        if part == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}
