//! `cargo xtask workshop`, `hint`, `diff`, `reset`, `catch-up` and `status`: the learner's own directory, `workshop/`.
//!
//! ```text
//! workshop/              git ignores it
//!   Cargo.toml           a workspace of its own, next to ours: it shares our target directory and our libraries' versions
//!   .cargo/config.toml   makes `cargo xtask` work in there
//!   src/main.rs          the program, the same one from exercise 0 on
//!   kept/                copies of what a command has replaced, so that nothing of the learner's is lost
//!   progress.txt         what was passed, and which hints were read
//! ```

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;
use lab::{cargo, output, workspace};

use crate::catalog;
use crate::text::{hanging, markdown};

mod hint;
mod progress;

pub use hint::{Diff, Hint, diff, hint};
use progress::Progress;

/// The learner's package, and the program of all exercises that are about the container.
const NAME: &str = "mine";

/// The libraries' features are those that xtask is built with, so that cargo doesn't build them again.
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

/// Returns cargo's configuration there. Its paths are complete, because an alias is run in the directory where it is typed.
fn config() -> Result<String> {
    let complete = workspace::root().join("Cargo.toml").display().to_string();
    // cargo splits an alias at blanks. Then it works only in the top directory of the workshop.
    let manifest = if complete.contains(char::is_whitespace) { "../Cargo.toml" } else { &complete };
    let target = workspace::workshop_target()?;
    // What Rust prints of a path with {:?} is a string in TOML, too.
    Ok(format!(
        "[alias]\nxtask = \"run --manifest-path {manifest} --package xtask --\"\n\n[build]\ntarget-dir = {target:?}\n"
    ))
}

/// Makes the directory, and prints what to do with it. What is there already stays.
///
/// # Errors
/// When a file can't be written.
pub fn start() -> Result<ExitCode> {
    let folder = workspace::workshop();
    let is_new = !folder.join("Cargo.toml").exists();
    if is_new {
        fs::create_dir_all(folder.join("src/bin")).with_context(|| format!("making {}", folder.display()))?;
        write(&folder.join("Cargo.toml"), &manifest(NAME)?)?;
        // The very versions that are here already, so that nothing is downloaded.
        fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).context("copying Cargo.lock")?;
    }
    // Again, because the repository may have moved.
    write(&folder.join(".cargo/config.toml"), &config()?)?;
    // An update may have brought one with a program of its own.
    for exercise in catalog::exercises()? {
        let file = folder.join(source_of(exercise));
        if !file.exists() {
            write(&file, &exercise.starter(workspace::root())?)?;
        }
    }
    let what = if is_new { "is ready" } else { "is there already" };
    let mut out = markdown(&format!("workshop/ {what}. Your program is workshop/src/main.rs.")) + "\n";
    for (command, does) in [
        ("check", "grade it by the next exercise"),
        ("check --watch", "grade it whenever you save"),
        ("hint", "show what to do; each call adds a hint"),
        ("host", "open a throwaway host to try it on: `mine run sh`"),
        ("status", "list what you have passed"),
    ] {
        out += &hanging(&format!("cargo xtask {command:<15} "), 28, does);
    }
    let next = match open(&Progress::read()?)? {
        Some(Exercise { order, id, title, .. }) => format!("Next is exercise {order} ({id}): {title}."),
        None => "You have passed them all.".into(),
    };
    output::write(&format!("{out}\n{}", markdown(&next)))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the manifest of a package that is built as the workspace is: the learner's, or one of tests.
///
/// # Errors
/// When the workspace's own manifest can't be read.
pub fn manifest(name: &str) -> Result<String> {
    let top = workspace::root().join("Cargo.toml");
    let top = fs::read_to_string(&top).with_context(|| format!("reading {}", top.display()))?;
    let features = features(&top).context("the workspace has no nix")?;
    let manifest = MANIFEST.replace("FEATURES", features).replace("\"mine\"", &format!("{name:?}"));
    Ok(format!("{manifest}\n{}", profiles(&top)))
}

/// Returns the features of nix in a manifest, as they are written there.
fn features(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.starts_with("nix = "))?;
    line.split_once("features = ").map(|(_, rest)| rest.trim_end_matches(" }"))
}

/// Returns the profiles of a manifest. With others, the libraries would be built once more.
fn profiles(manifest: &str) -> String {
    let mut is_inside = false;
    let lines = manifest.lines().filter(|line| {
        is_inside = if line.starts_with('[') { line.starts_with("[profile.") } else { is_inside };
        is_inside && !line.starts_with('#')
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Returns the path of an exercise's program, from the workshop directory.
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

/// Builds the learner's program for an exercise; `None` if the compiler has said why not.
///
/// # Errors
/// When there is no workshop, or cargo doesn't start.
pub fn build(exercise: &Exercise) -> Result<Option<PathBuf>> {
    let manifest = there()?.join("Cargo.toml");
    let name = exercise.program();
    let mut args: Vec<OsString> = ["rustc", "--quiet", "--bin", name, "--target-dir"].map(OsString::from).into();
    args.push(workspace::workshop_target()?.into());
    if name != NAME {
        // It runs in a rootfs, which need not have our C library.
        args.extend(["--", "-C", "target-feature=+crt-static"].map(OsString::from));
    }
    let Some(mut programs) = cargo::build(Some(&manifest), &args)? else { return Ok(None) };
    programs.remove(name).with_context(|| format!("cargo built no {name}")).map(Some)
}

/// Returns the named exercise, otherwise the one that was begun, otherwise the next, otherwise the last.
///
/// # Errors
/// When the progress can't be read.
pub fn meant(named: Option<&'static Exercise>) -> Result<&'static Exercise> {
    match named {
        Some(exercise) => Ok(exercise),
        None => open(&Progress::read()?)?.or(catalog::exercises()?.last()).context("there are no exercises"),
    }
}

/// Returns the exercise that was begun, whether it was passed before or not; otherwise the first that was not passed yet, from
/// where the learner is, or of all.
fn open(progress: &Progress) -> Result<Option<&'static Exercise>> {
    let order = known(progress.at())?.map_or(0, |it| it.order);
    Ok(known(progress.begun())?.or(first(order, |it| !progress.has_passed(it))?))
}

fn known(id: Option<&str>) -> Result<Option<&'static Exercise>> {
    Ok(catalog::exercises()?.iter().find(|it| id == Some(&it.id)))
}

/// True if the exercise was passed as it is now.
///
/// # Errors
/// When the progress can't be read.
pub fn has_passed(exercise: &Exercise) -> Result<bool> {
    Ok(Progress::read()?.has_passed(exercise))
}

/// Returns the first exercise after `exercise` that was not passed yet, or the first of all.
///
/// # Errors
/// When the progress can't be read.
pub fn next_after(exercise: &Exercise) -> Result<Option<&'static Exercise>> {
    let progress = Progress::read()?;
    first(exercise.order + 1, |it| !progress.has_passed(it) && it.id != exercise.id)
}

/// Returns the first exercise from `order` on that `will_do`, otherwise the first of all.
fn first(order: u32, will_do: impl Fn(&Exercise) -> bool) -> Result<Option<&'static Exercise>> {
    let mut some = catalog::exercises()?.iter().filter(|it| will_do(it));
    Ok(some.clone().find(|it| it.order >= order).or_else(|| some.next()))
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
    passed.iter().for_each(|exercise| progress.pass(exercise));
    progress.write()
}

/// True if the learner's program is still what the exercise starts from.
pub fn is_untouched(exercise: &Exercise) -> bool {
    let mine = fs::read_to_string(workspace::workshop().join(source_of(exercise))).unwrap_or_default();
    exercise.starter(workspace::root()).is_ok_and(|starter| starter == mine)
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

/// What `xtask reset` was asked for.
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// Its number or name [default: the one that you began with `reset` or `catch-up`]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
}

/// Puts the program back to what an exercise starts from.
///
/// # Errors
/// When there is no workshop, a file can't be written, or it isn't known which exercise the program belongs to.
pub fn reset(options: &Reset) -> Result<ExitCode> {
    let begun = known(Progress::read()?.begun())?;
    let Some(exercise) = options.exercise.or(begun) else {
        bail!("which exercise? the next one is `cargo xtask reset {}`", meant(None)?.id)
    };
    begin(exercise, "is back to the start of exercise")
}

/// What `xtask catch-up` was asked for.
#[derive(Debug, clap::Args)]
pub struct CatchUp {
    /// Its number or name [default: the one that you are at]
    #[arg(value_parser = catalog::exercise)]
    pub exercise: Option<&'static Exercise>,
}

/// Replaces the program by the solution of what an exercise builds on.
///
/// # Errors
/// When there is no workshop, or a file can't be written.
pub fn catch_up(options: &CatchUp) -> Result<ExitCode> {
    begin(meant(options.exercise)?, "now solves everything before exercise")
}

/// Writes the starter of an exercise, and keeps a copy of the learner's program.
fn begin(exercise: &Exercise, what: &str) -> Result<ExitCode> {
    let Exercise { order, id, title, .. } = exercise;
    let folder = there()?;
    let file = source_of(exercise);
    let kept = keep(&folder, &file)?;
    write(&folder.join(&file), &exercise.starter(workspace::root())?)?;
    let mut progress = Progress::read()?;
    progress.begin(exercise);
    progress.write()?;
    output::write(&markdown(&format!(
        "workshop/{file} {what} {order} ({id}), {title}. `cargo xtask hint {id}` shows what to do.\n\n{kept}"
    )))?;
    Ok(ExitCode::SUCCESS)
}

/// Copies a file of the learner's to `kept/`, under a name that isn't taken. Returns where it is, and how to get it back.
fn keep(folder: &Path, file: &str) -> Result<String> {
    let mine = folder.join(file);
    if !mine.exists() {
        return Ok(String::new());
    }
    let name = mine.file_stem().unwrap_or_default().display();
    let kept = folder.join("kept");
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let (mut to, copy) = (1..)
        .map(|number| format!("{name}-{number}.rs"))
        .find_map(|it| Some((fs::File::create_new(kept.join(&it)).ok()?, it)))
        .context("there is no free name in workshop/kept")?;
    let mut from = fs::File::open(&mine).with_context(|| format!("reading {}", mine.display()))?;
    io::copy(&mut from, &mut to).with_context(|| format!("writing workshop/kept/{copy}"))?;
    Ok(format!(
        "A copy of your program is in workshop/kept/{copy}. To get it back:\n\n    cp workshop/kept/{copy} workshop/{file}"
    ))
}

/// Prints each exercise and whether it was passed.
///
/// # Errors
/// When the progress can't be read.
pub fn status() -> Result<ExitCode> {
    let progress = Progress::read()?;
    let (mut out, mut passed, mut changed) = (String::new(), 0, false);
    let all = catalog::exercises()?;
    for exercise in all {
        let Exercise { order, id, title, minutes, .. } = exercise;
        let (has_passed, has_passed_once) = (progress.has_passed(exercise), progress.has_passed_once(exercise));
        let word = if has_passed {
            "passed"
        } else if has_passed_once {
            "changed"
        } else {
            ""
        };
        passed += usize::from(has_passed);
        changed |= word == "changed";
        out += &hanging(&format!("{order:>3} {id:<9} {minutes:>3} min  {word:<7}  "), 32, title);
    }
    out += &format!("\n{passed} of {} passed.\n", all.len());
    if changed {
        out += "changed: the exercise asks something else since you passed it.\n";
    }
    if !workspace::workshop().is_dir() {
        out += "There is no workshop/ yet: `cargo xtask workshop start` makes it.\n";
    }
    output::write(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file completely or not at all: next to its place, and then moved there.
fn write(path: &Path, text: &str) -> Result<()> {
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    let new = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
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
    fn the_manifest_is_built_like_the_workspace() {
        let top = "[a]\nx = 1\n\n# Why.\n[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n[b]\n";
        assert_eq!(profiles(top), "[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n");
        assert!(
            features(include_str!("../../../Cargo.toml"))
                .is_some_and(|it| it.starts_with("[\"") && it.ends_with("\"]"))
        );
    }
}
