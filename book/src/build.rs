//! Builds the book from its text, and checks it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;
use mdbook_driver::config::{Config, HtmlConfig};
use tempfile::TempDir;

use crate::directives::{Chapter, exercises, replace};
use crate::live::{self, Machine};
use crate::problem::{Problem, Problems};
use crate::workspace::{Workspace, slashes};
use crate::{check, markdown, warnings};

const TEXT: &str = "book/text";
const SUMMARY: &str = "book/text/SUMMARY.md";
const SETTINGS: &str = "book/book.toml";

/// A checked book in a temporary directory. It is deleted unless it is published.
#[derive(Debug)]
pub struct Built {
    directory: TempDir,
    place: PathBuf,
    inputs: String,
}

impl Built {
    /// Moves the book to its place, and returns that. If that fails, the old book stays.
    pub fn publish(self) -> Result<PathBuf> {
        let inputs = inputs_file(&self.place);
        let _ = fs::remove_file(&inputs);
        let (new, old) = (self.directory.path().join("new"), self.directory.path().join("old"));
        if self.place.exists() {
            fs::rename(&self.place, &old).with_context(|| format!("moving {} away", self.place.display()))?;
        }
        if let Err(error) = fs::rename(&new, &self.place) {
            let _ = fs::rename(&old, &self.place);
            return Err(error).with_context(|| format!("moving the book to {}", self.place.display()));
        }
        fs::write(&inputs, self.inputs).with_context(|| format!("writing {}", inputs.display()))?;
        Ok(self.place)
    }
}

/// Returns the published book if nothing has changed since it was built. `site` is as in [`build`].
pub fn unchanged(workspace: &Workspace, site: Option<&str>) -> Result<Option<PathBuf>> {
    let place = workspace.root.join("target/book");
    let built_from = fs::read_to_string(inputs_file(&place)).ok();
    let is_current = place.join("index.html").is_file() && built_from == Some(inputs(workspace, site)?);
    Ok(is_current.then_some(place))
}

/// Next to the book, because it isn't the readers'.
fn inputs_file(place: &Path) -> PathBuf {
    place.with_extension("inputs")
}

/// Returns a hash of what a book is made from: this program, the files' names, sizes and times, and the machine.
fn inputs(workspace: &Workspace, site: Option<&str>) -> Result<String> {
    let program = fs::metadata(env::current_exe()?)?;
    let mut hasher = DefaultHasher::new();
    (program.len(), program.modified()?, site, &workspace.repository, live::stamp(workspace)).hash(&mut hasher);
    workspace.fingerprint()?.hash(&mut hasher);
    Ok(format!("{:016x}\n", hasher.finish()))
}

/// Builds and checks the book. `site` replaces the path below which `book.toml` expects the book to be published. The error is
/// [`Problems`] if the book is wrong.
pub fn build(workspace: &Workspace, site: Option<&str>) -> Result<Built> {
    // First, so that what changes meanwhile counts as changed.
    let inputs = inputs(workspace, site)?;
    Problems::none_in(pending_snapshots(workspace)?)?;
    let mut config = Config::from_disk(workspace.root.join(SETTINGS)).context(SETTINGS)?;
    if let Some(site) = site {
        config.set("output.html.site-url", site)?;
    }
    let html: HtmlConfig = config.html_config().unwrap_or_default();
    let machine = Machine::of(workspace)?;
    if machine.is_some() {
        let (script, style) = (Path::new(live::SCRIPT).to_owned(), Path::new(live::STYLE).to_owned());
        config.set("output.html.additional-js", [html.additional_js, vec![script]].concat())?;
        config.set("output.html.additional-css", [html.additional_css, vec![style]].concat())?;
    }
    let workspace = &Workspace { machine, exercises: OnceCell::new(), ..workspace.clone() };
    if let Some(repository) = &workspace.repository {
        config.set("output.html.git-repository-url", repository)?;
        config.set("output.html.edit-url-template", format!("{repository}/edit/HEAD/book/{{path}}"))?;
    }
    let target = workspace.root.join("target");
    fs::create_dir_all(&target).with_context(|| format!("creating {}", target.display()))?;
    // Next to its place, so that a rename moves it there.
    let directory = tempfile::Builder::new().prefix(".book-").tempdir_in(&target)?;
    let built = Built { directory, place: target.join("book"), inputs };
    config.build.build_dir = built.directory.path().join("new");
    // mdBook's own would insert nothing, without a warning, where they can't find something.
    config.build.use_default_preprocessors = false;
    config.build.create_missing = false;
    config.book.src = "text".into();

    Problems::none_in(missing_chapters(workspace)?)?;
    let (loaded, _) = warnings::caught(|| MDBook::load_with_config(workspace.root.join("book"), config));
    let mut book = loaded.context(SUMMARY)?;

    let texts: Vec<&str> = book.book.chapters().map(|chapter| chapter.content.as_str()).collect();
    // An exercise that is wrong is a problem of its own, and not of each chapter that shows it.
    let mut problems = exercises::not_shown(workspace, &texts)?;
    let mut chapters = HashMap::new();
    book.book.for_each_mut(|item| {
        let BookItem::Chapter(chapter) = item else { return };
        let (Some(path), Some(source)) = (&chapter.path, &chapter.source_path) else { return };
        let replaced = replace(workspace, &format!("{TEXT}/{}", slashes(source)), &chapter.content, &mut problems);
        chapter.content.clone_from(&replaced.text);
        if chapters.is_empty() {
            // mdBook shows the first chapter there as well.
            chapters.insert("index.html".to_owned(), replaced.clone());
        }
        chapters.insert(slashes(&path.with_extension("html")), replaced);
    });
    Problems::none_in(problems)?;

    let (rendered, messages) = warnings::caught(|| book.build());
    rendered.context("mdBook could not render the book")?;
    if let Some(machine) = &workspace.machine {
        live::publish(workspace, machine, &built.directory.path().join("new"))?;
    }
    let mut problems: Vec<Problem> = messages.iter().map(|message| of_warning(message, &chapters)).collect();
    let site = html.site_url.as_deref().unwrap_or("/");
    problems.extend(check::pages(&built.directory.path().join("new"), &chapters, site)?);
    Problems::none_in(problems)?;
    Ok(built)
}

/// Finds snapshots that nobody has reviewed yet, because the book would show the old ones.
fn pending_snapshots(workspace: &Workspace) -> Result<Vec<Problem>> {
    let files = workspace.files().context("looking for pending snapshots")?;
    let names = files.iter().map(|path| workspace.name(path));
    let pending = names.filter(|name| name.ends_with(".snap.new") || name.ends_with(".pending-snap"));
    Ok(pending.map(|name| Problem::new(name, 1, "a pending snapshot: review it, then accept or remove it")).collect())
}

/// Finds missing chapters. mdBook reports only the first one, and without its line.
fn missing_chapters(workspace: &Workspace) -> Result<Vec<Problem>> {
    let links = markdown::positions(&workspace.read(SUMMARY)?).values.into_iter();
    let missing = links.filter(|(_, link)| !link.is_empty() && !workspace.root.join(TEXT).join(link).is_file());
    Ok(missing.map(|(line, link)| Problem::new(SUMMARY, line, format!("there is no chapter {link}"))).collect())
}

/// Finds the place of a warning of mdBook, which names the chapter and the tag.
fn of_warning(message: &str, chapters: &HashMap<String, Chapter>) -> Problem {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let is_named = |chapter: &&Chapter| names.iter().any(|name| chapter.file == format!("{TEXT}/{name}"));
    let Some(chapter) = chapters.values().find(is_named) else { return Problem::new(SETTINGS, None, message) };
    // Without the `>`, because the tag may have attributes.
    let tag = names.iter().find(|name| name.starts_with('<')).map(|tag| tag.trim_end_matches('>'));
    let line = tag.and_then(|tag| chapter.lines_with(tag).first().copied());
    Problem::new(&chapter.file, line, message)
}
