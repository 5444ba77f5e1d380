//! `cargo xtask workshop`, `hint`, `diff`, `reset`, `catch-up` and `status`: the learner's own folder, `workshop/`.
//!
//! ```text
//! workshop/              git ignores it
//!   Cargo.toml           a workspace of its own, beside ours: it shares our target folder and our libraries' versions
//!   .cargo/config.toml   so that `cargo xtask` works in there, too
//!   src/main.rs          the program, from exercise 0 on the same one
//!   kept/                copies of what a command has replaced: nothing of the learner's is ever lost
//!   progress.txt         what was passed, and which hints were read
//! ```

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::exercises::{self, Exercise, text};
use crate::{stdout, workspace};

mod progress;

use progress::Progress;

/// The learner's package, and the program of all exercises that are about the container.
const NAME: &str = "mine";

/// The libraries' features are those that xtask is built with, so that cargo need not build them anew.
const MANIFEST: &str = r#"# Yours. `cargo xtask workshop start` made it; it belongs to no workspace but its own.
[package]
name = "mine"
version = "0.1.0"
edition = "2024"
publish = false

[dependencies]
anyhow = "1"
nix = { version = "0.31", features = FEATURES }

[workspace]
"#;

const CONFIG: &str = r#"[alias]
xtask = "run --quiet --manifest-path ../Cargo.toml --package xtask --"

[build]
target-dir = "../target"
"#;

/// Makes the folder, and tells what to do with it. What is there already stays.
///
/// # Errors
/// When a file can't be written.
pub fn start() -> Result<ExitCode> {
    let folder = workspace::workshop();
    let is_new = !folder.join("Cargo.toml").exists();
    if is_new {
        fs::create_dir_all(folder.join("src/bin")).with_context(|| format!("making {}", folder.display()))?;
        fs::create_dir_all(folder.join(".cargo"))?;
        write(&folder.join("Cargo.toml"), &manifest(NAME)?)?;
        write(&folder.join(".cargo/config.toml"), CONFIG)?;
        // The very versions that are here already: nothing is to be downloaded.
        fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).context("copying Cargo.lock")?;
    }
    // An update may have brought one with a program of its own.
    for exercise in exercises::ALL {
        let file = folder.join(source_of(exercise));
        if !file.exists() {
            write(&file, &exercises::starter(exercise)?)?;
        }
    }
    let what = if is_new { "made" } else { "is there" };
    let next = match open(&Progress::read()?) {
        Some(next) => format!("Next is exercise {} ({}): {}.", next.number, next.id, text::of(next.id)?.title),
        None => "You have passed them all.".into(),
    };
    stdout::write(&format!(
        "workshop/ {what}. Your program is workshop/src/main.rs.\n\n\
         cargo xtask check           grade it by the next exercise, and those it builds on\n\
         cargo xtask check --watch   the same whenever you save\n\
         cargo xtask hint            what to do; again for a hint, and again for more\n\
         cargo xtask host            a throwaway host, on which you can try it: `mine run sh`\n\
         cargo xtask status          what you have passed\n\n\
         {next}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of a package that is built as the workspace is: the learner's, or one of tests.
///
/// # Errors
/// When the workspace's own manifest can't be read.
pub fn manifest(name: &str) -> Result<String> {
    let top = workspace::root().join("Cargo.toml");
    let top = fs::read_to_string(&top).with_context(|| format!("reading {}", top.display()))?;
    let features = features(include_str!("../Cargo.toml")).context("xtask has no nix")?;
    let manifest = MANIFEST.replace("FEATURES", features).replace("\"mine\"", &format!("{name:?}"));
    Ok(format!("{manifest}\n{}", profiles(&top)))
}

/// The features of nix in a manifest, as they stand there.
fn features(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.starts_with("nix = "))?;
    line.split_once("features = ").map(|(_, rest)| rest.trim_end_matches(" }"))
}

/// The profiles of a manifest. With others the libraries would have to be built once more.
fn profiles(manifest: &str) -> String {
    let mut profiles = String::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[profile.");
        }
        if inside && !line.starts_with('#') {
            profiles.push_str(line);
            profiles.push('\n');
        }
    }
    profiles
}

/// Where the program of an exercise lies, from the workshop folder.
pub fn source_of(exercise: &Exercise) -> String {
    match exercise.program() {
        NAME => "src/main.rs".into(),
        other => format!("src/bin/{other}.rs"),
    }
}

fn there() -> Result<PathBuf> {
    let folder = workspace::workshop();
    ensure!(folder.join("Cargo.toml").exists(), "there is no workshop/ yet: `cargo xtask workshop start` makes it");
    Ok(folder)
}

/// Builds the learner's program for an exercise; none if it does not compile, which the compiler has said.
///
/// # Errors
/// When there is no workshop, or cargo does not start.
pub fn build(exercise: &Exercise) -> Result<Option<PathBuf>> {
    let folder = there()?;
    let name = exercise.program();
    let target = workspace::workshop_target();
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["rustc", "--quiet", "--bin", name, "--target-dir"]).arg(&target).current_dir(folder);
    if name != NAME {
        // It is to run in a rootfs, which need not have our C library.
        cargo.args(["--", "-C", "target-feature=+crt-static"]);
    }
    Ok(cargo.status().context("starting cargo")?.success().then(|| target.join("debug").join(name)))
}

/// The exercise that is meant: the one that was named, else the one that was begun, else the one that is next, or the last if
/// all were passed.
///
/// # Errors
/// When the progress can't be read.
pub fn meant(named: Option<&'static Exercise>) -> Result<&'static Exercise> {
    match named {
        Some(exercise) => Ok(exercise),
        None => open(&Progress::read()?).or(exercises::ALL.last()).context("there are no exercises"),
    }
}

/// The exercise that was begun by `reset` or `catch-up` and not passed since, whether it was passed before or not; else the
/// first that was not passed yet, from where the learner is, or of all; none if all were passed.
fn open(progress: &Progress) -> Option<&'static Exercise> {
    let number = at(progress).map_or(0, |it| it.number);
    progress.begun().and_then(of_id).or_else(|| first(number, |it| !progress.has_passed(it)))
}

/// Was the exercise passed, as it is asked now?
///
/// # Errors
/// When the progress can't be read.
pub fn has_passed(exercise: &Exercise) -> Result<bool> {
    Ok(Progress::read()?.has_passed(exercise))
}

/// The exercise that was last passed, or begun.
fn at(progress: &Progress) -> Option<&'static Exercise> {
    progress.at().and_then(of_id)
}

fn of_id(id: &str) -> Option<&'static Exercise> {
    exercises::ALL.iter().find(|it| it.id == id)
}

/// The first exercise behind `exercise` that was not passed yet, or the first of all.
///
/// # Errors
/// When the progress can't be read.
pub fn next_after(exercise: &Exercise) -> Result<Option<&'static Exercise>> {
    let progress = Progress::read()?;
    Ok(first(exercise.number + 1, |it| !progress.has_passed(it) && it.id != exercise.id))
}

/// The first exercise from `number` on that will do, or the first of all.
fn first(number: u32, will_do: impl Fn(&Exercise) -> bool) -> Option<&'static Exercise> {
    let mut some = exercises::ALL.iter().filter(|it| will_do(it));
    some.clone().find(|it| it.number >= number).or_else(|| some.next())
}

/// Notes what was passed, if there is a workshop to note it in.
///
/// # Errors
/// When the progress can't be written.
pub fn note_passed(passed: &[&'static Exercise]) -> Result<()> {
    if !workspace::workshop().is_dir() {
        return Ok(());
    }
    let mut progress = Progress::read()?;
    for exercise in passed {
        progress.pass(exercise)?;
        progress.go_to(exercise);
    }
    progress.end();
    progress.write()
}

/// Is the learner's program still what the exercise starts from?
pub fn is_untouched(exercise: &Exercise) -> bool {
    let mine = fs::read_to_string(workspace::workshop().join(source_of(exercise))).unwrap_or_default();
    exercises::starter(exercise).is_ok_and(|starter| starter == mine)
}

/// Returns a number that changes when a file at `path` or below it does. What links lead to and what is mounted there doesn't count:
/// a rootfs is made without it, and it may be this machine's /proc, which always changes.
pub fn fingerprint(path: &Path) -> u64 {
    fn add(path: &Path, mount: Option<u64>, hasher: &mut DefaultHasher) {
        path.hash(hasher);
        let Ok(metadata) = path.symlink_metadata() else { return };
        (metadata.modified().ok(), metadata.len(), metadata.ino(), metadata.mode()).hash(hasher);
        if metadata.is_dir() && mount.is_none_or(|device| device == metadata.dev()) {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            let paths: BTreeSet<_> = entries.map(|entry| entry.path()).collect();
            paths.iter().for_each(|path| add(path, Some(metadata.dev()), hasher));
        }
    }
    let mut hasher = DefaultHasher::new();
    add(&path.canonicalize().unwrap_or(path.to_owned()), None, &mut hasher);
    hasher.finish()
}

/// What `xtask hint` was asked for.
#[derive(Debug, Default)]
pub struct Hint {
    /// Of this exercise; `None` means the first that was not passed yet.
    pub exercise: Option<&'static Exercise>,
    /// The statement alone.
    pub statement: bool,
    /// Every hint at once.
    pub all: bool,
}

/// Prints the statement, and one hint more than last time.
///
/// # Errors
/// When the exercise has no text, or the progress can't be written.
pub fn hint(options: &Hint) -> Result<ExitCode> {
    let exercise = meant(options.exercise)?;
    let text = text::of(exercise.id)?;
    let mut out = format!(
        "Exercise {} ({}): {}\nAbout {} minutes. The chapter: {} in the book.\n\n{}\n",
        exercise.number,
        exercise.id,
        text.title,
        text.minutes,
        text.chapter.replace(".md", ".html"),
        text.statement
    );
    let mut hints = text.hints.clone();
    let all = between(&exercises::starter(exercise)?, &exercises::solution(exercise)?, "starter", "solution")?;
    // Exercise 0 is solved from the beginning.
    if !all.is_empty() {
        // Yours has grown in its own way, so this is to be read beside it, and not to be put in.
        let heading = format!("In our program: what the exercise changes in `{}`", text.function);
        hints.push((heading, function_diff(exercise, &text.function)?));
        hints.push(("In our program: all that it changes".into(), all));
    }
    let mut progress = Progress::read()?;
    let shown = match () {
        () if options.statement => 0,
        () if options.all => hints.len(),
        () => progress.hints_read(exercise),
    };
    for (index, (heading, body)) in hints.iter().take(shown).enumerate() {
        let _ = write!(out, "\nHint {} of {}. {heading}\n\n{body}\n", index + 1, hints.len());
    }
    if !options.statement && !options.all {
        let more = if shown < hints.len() {
            format!("`cargo xtask hint {}` again gives hint {} of {}.", exercise.id, shown + 1, hints.len())
        } else {
            "There are no more.".into()
        };
        let _ = write!(out, "\n{more}\n");
        if workspace::workshop().is_dir() {
            progress.read_hint(exercise, (shown + 1).min(hints.len()));
            progress.write()?;
        }
    }
    stdout::write(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the learner's program beside the solution of an exercise; without a name, of the one that the learner is at, also
/// if that was passed: the solution of the next is not shown by mistake.
///
/// # Errors
/// When there is no workshop, or no diff(1).
pub fn diff(exercise: Option<&'static Exercise>) -> Result<ExitCode> {
    let is_named = exercise.is_some();
    let next = meant(None)?;
    let exercise = exercise.or(at(&Progress::read()?)).unwrap_or(next);
    let file = source_of(exercise);
    let mine = there()?.join(&file);
    let mine = fs::read_to_string(&mine).with_context(|| format!("reading {}", mine.display()))?;
    let difference = between(&mine, &exercises::solution(exercise)?, &format!("workshop/{file}"), exercise.solution)?;
    stdout::write(if difference.is_empty() { "They are the same.\n" } else { &difference })?;
    if !is_named && next.id != exercise.id {
        eprintln!(
            "This is exercise {} ({}), which you have passed. `cargo xtask hint {} --all` ends with what solves the next.",
            exercise.number, exercise.id, next.id
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the program back to what an exercise starts from. The learner's own is kept aside.
///
/// # Errors
/// When there is no workshop, or a file can't be written.
pub fn reset(exercise: Option<&'static Exercise>) -> Result<ExitCode> {
    let exercise = meant(exercise)?;
    let folder = there()?;
    let file = source_of(exercise);
    let kept = keep(&folder, &file)?;
    write(&folder.join(&file), &exercises::starter(exercise)?)?;
    let title = text::of(exercise.id)?.title;
    let mut progress = Progress::read()?;
    progress.begin(exercise);
    progress.write()?;
    stdout::write(&format!(
        "workshop/{file} is now what exercise {} ({id}) starts from: {title}.{kept}\n`cargo xtask hint {id}` says what to do, and `cargo xtask check {id}` grades it.\n",
        exercise.number,
        id = exercise.id
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Copies a file of the learner's to `kept/`, under a name that is not taken; says so.
fn keep(folder: &Path, file: &str) -> Result<String> {
    let mine = folder.join(file);
    if !mine.exists() {
        return Ok(String::new());
    }
    let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let kept = folder.join("kept");
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let (mut to, copy) = (1..)
        .map(|number| format!("{name}-{number}.rs"))
        .find_map(|it| Some((fs::File::create_new(kept.join(&it)).ok()?, it)))
        .context("there is no free name in workshop/kept")?;
    let mut from = fs::File::open(&mine).with_context(|| format!("reading {}", mine.display()))?;
    io::copy(&mut from, &mut to).with_context(|| format!("writing workshop/kept/{copy}"))?;
    Ok(format!(" Yours is kept as workshop/kept/{copy}."))
}

/// Prints each exercise and whether it was passed.
///
/// # Errors
/// When the progress can't be read.
pub fn status() -> Result<ExitCode> {
    let progress = Progress::read()?;
    let mut out = String::new();
    let mut passed = 0;
    for exercise in exercises::ALL {
        let text = text::of(exercise.id)?;
        let word = match () {
            () if progress.has_passed(exercise) => "passed",
            () if progress.has_passed_once(exercise) => "changed since you passed",
            () => "",
        };
        passed += usize::from(progress.has_passed(exercise));
        let row =
            format!("{:>3} {:<9} {:>3} min  {:<45} {word}", exercise.number, exercise.id, text.minutes, text.title);
        let _ = writeln!(out, "{}", row.trim_end());
    }
    let _ = writeln!(out, "\n{passed} of {} passed.", exercises::ALL.len());
    if !workspace::workshop().is_dir() {
        out.push_str("There is no workshop/ yet: `cargo xtask workshop start` makes it.\n");
    }
    stdout::write(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// The difference between two sources in one of their top-level functions.
fn function_diff(exercise: &Exercise, name: &str) -> Result<String> {
    let (starter, solution) = (exercises::starter(exercise)?, exercises::solution(exercise)?);
    let new = function(&solution, name).with_context(|| format!("{} has no fn {name}", exercise.solution))?;
    match function(&starter, name) {
        Some(old) => between(old, new, "starter", "solution"),
        None => Ok(new.to_owned()),
    }
}

/// A top-level function, as rustfmt lays it out: up to the first closing brace at the beginning of a line.
pub fn function<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let start = source.match_indices(&format!("fn {name}(")).map(|(at, _)| at).find(|at| {
        let line = source[..*at].rsplit('\n').next().unwrap_or_default();
        ["", "pub ", "const "].contains(&line)
    })?;
    let length = source[start..].find("\n}\n")? + 3;
    Some(&source[start..start + length])
}

/// What diff(1) says of two texts, under the names that they are to have; empty if they are the same.
fn between(old: &str, new: &str, old_name: &str, new_name: &str) -> Result<String> {
    // Not in /tmp, where somebody else may have made a folder of that name, with links in it.
    let folder = workspace::target().join(format!("diff-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (old_file, new_file) = (folder.join("old"), folder.join("new"));
    let output = fs::write(&old_file, old).and_then(|()| fs::write(&new_file, new)).and_then(|()| {
        let mut diff = Command::new("diff");
        diff.args(["-u", "--label", old_name, "--label", new_name]).args([&old_file, &new_file]).output()
    });
    let _ = fs::remove_dir_all(&folder);
    let output = output.context("diff(1), of the package diffutils, is not there")?;
    // 1 is no failure: they differ.
    ensure!(output.status.code().is_some_and(|code| code < 2), "diff: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a file whole or not at all: beside its place, and then moved there.
fn write(path: &Path, text: &str) -> Result<()> {
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    let new = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = fs::create_dir_all(path.parent().unwrap_or(Path::new("")))
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_counts_files_and_links_but_not_what_links_lead_to() {
        let place = std::env::temp_dir().join(format!("mini-docker-fingerprint-{}", std::process::id()));
        let (inside, outside) = (place.join("inside"), place.join("outside"));
        fs::create_dir_all(inside.join("dev")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, inside.join(name)).unwrap();
        link(Path::new("/proc/self/fd"), "dev/fd");
        link(&outside, "directory");
        link(&outside.join("file"), "file");
        let before = fingerprint(&inside);
        fs::write(outside.join("file"), "new").unwrap();
        // Another descriptor in /proc/self/fd.
        let _open = fs::File::open(outside.join("file")).unwrap();
        assert_eq!(fingerprint(&inside), before);
        link(&outside, "dev/new");
        let with_link = fingerprint(&inside);
        assert_ne!(with_link, before);
        fs::write(inside.join("dev/null"), "").unwrap();
        assert_ne!(fingerprint(&inside), with_link);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_function_is_cut_out() {
        let source = "use x;\n\nfn a() {\n    fn b() {}\n}\n\n/// Not fn c().\nfn c(x: u8) {\n    1;\n}\n";
        assert_eq!(function(source, "a"), Some("fn a() {\n    fn b() {}\n}\n"));
        assert_eq!(function(source, "c"), Some("fn c(x: u8) {\n    1;\n}\n"));
        assert_eq!((function(source, "b"), function(source, "d")), (None, None));
    }

    #[test]
    fn the_manifest_is_built_like_the_workspace() {
        let top = "[a]\nx = 1\n\n# Why.\n[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n[b]\n";
        assert_eq!(profiles(top), "[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n");
        assert!(features(include_str!("../Cargo.toml")).is_some_and(|it| it.starts_with("[\"") && it.ends_with("\"]")));
    }
}
