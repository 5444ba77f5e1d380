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
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;

use crate::{catalog, stdout, workspace};

mod hint;
mod progress;

pub use hint::{Diff, Hint, diff, hint};
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

/// Makes the folder, and tells what to do with it. What is there already stays.
///
/// # Errors
/// When a file can't be written.
pub fn start() -> Result<ExitCode> {
    let folder = workspace::workshop();
    let is_new = !folder.join("Cargo.toml").exists();
    if is_new {
        fs::create_dir_all(folder.join("src/bin")).with_context(|| format!("making {}", folder.display()))?;
        write(&folder.join("Cargo.toml"), &manifest(NAME)?)?;
        // The very versions that are here already: nothing is to be downloaded.
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
    let what = if is_new { "made" } else { "is there" };
    let next = match open(&Progress::read()?)? {
        Some(Exercise { order, id, title, .. }) => format!("Next is exercise {order} ({id}): {title}."),
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
    let features = features(&top).context("the workspace has no nix")?;
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
    let manifest = there()?.join("Cargo.toml");
    let name = exercise.program();
    let target = workspace::workshop_target()?;
    let mut args: Vec<OsString> = ["rustc", "--quiet", "--bin", name, "--target-dir"].map(OsString::from).into();
    args.push(target.into());
    if name != NAME {
        // It is to run in a rootfs, which need not have our C library.
        args.extend(["--", "-C", "target-feature=+crt-static"].map(OsString::from));
    }
    let Some(mut programs) = lab::cargo::build(Some(&manifest), &args)? else { return Ok(None) };
    programs.remove(name).with_context(|| format!("cargo built no {name}")).map(Some)
}

/// The exercise that is meant: the one that was named, else the one that was begun, else the one that is next, or the last if
/// all were passed.
///
/// # Errors
/// When the progress can't be read.
pub fn meant(named: Option<&'static Exercise>) -> Result<&'static Exercise> {
    match named {
        Some(exercise) => Ok(exercise),
        None => open(&Progress::read()?)?.or(catalog::exercises()?.last()).context("there are no exercises"),
    }
}

/// The exercise that was begun by `reset` or `catch-up` and not passed since, whether it was passed before or not; else the
/// first that was not passed yet, from where the learner is, or of all; none if all were passed.
fn open(progress: &Progress) -> Result<Option<&'static Exercise>> {
    let all = catalog::exercises()?;
    let order = at(progress)?.map_or(0, |it| it.order);
    let begun = progress.begun().and_then(|id| all.iter().find(|it| it.id == id));
    Ok(begun.or_else(|| first(all, order, |it| !progress.has_passed(it))))
}

/// Was the exercise passed, as it is asked now?
///
/// # Errors
/// When the progress can't be read.
pub fn has_passed(exercise: &Exercise) -> Result<bool> {
    Ok(Progress::read()?.has_passed(exercise))
}

/// The exercise that was last passed, or begun.
fn at(progress: &Progress) -> Result<Option<&'static Exercise>> {
    Ok(catalog::exercises()?.iter().find(|it| progress.at() == Some(&it.id)))
}

/// The first exercise behind `exercise` that was not passed yet, or the first of all.
///
/// # Errors
/// When the progress can't be read.
pub fn next_after(exercise: &Exercise) -> Result<Option<&'static Exercise>> {
    let progress = Progress::read()?;
    Ok(first(catalog::exercises()?, exercise.order + 1, |it| !progress.has_passed(it) && it.id != exercise.id))
}

/// The first exercise from `order` on that will do, or the first of all.
fn first(all: &[Exercise], order: u32, will_do: impl Fn(&Exercise) -> bool) -> Option<&Exercise> {
    let mut some = all.iter().filter(|it| will_do(it));
    some.clone().find(|it| it.order >= order).or_else(|| some.next())
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
        progress.pass(exercise);
        progress.go_to(exercise);
    }
    progress.end();
    progress.write()
}

/// Is the learner's program still what the exercise starts from?
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

/// Puts the program back to what an exercise starts from. The learner's own is kept aside.
///
/// # Errors
/// When there is no workshop, or a file can't be written.
pub fn reset(exercise: Option<&'static Exercise>) -> Result<ExitCode> {
    let exercise = meant(exercise)?;
    let Exercise { order, id, title, .. } = exercise;
    let folder = there()?;
    let file = source_of(exercise);
    let kept = keep(&folder, &file)?;
    write(&folder.join(&file), &exercise.starter(workspace::root())?)?;
    let mut progress = Progress::read()?;
    progress.begin(exercise);
    progress.write()?;
    stdout::write(&format!(
        "workshop/{file} is now what exercise {order} ({id}) starts from: {title}.{kept}\n`cargo xtask hint {id}` says what to do, and `cargo xtask check {id}` grades it.\n"
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
    let all = catalog::exercises()?;
    for exercise in all {
        let Exercise { order, id, title, minutes, .. } = exercise;
        let word = match () {
            () if progress.has_passed(exercise) => "passed",
            () if progress.has_passed_once(exercise) => "changed since you passed",
            () => "",
        };
        passed += usize::from(progress.has_passed(exercise));
        let row = format!("{order:>3} {id:<9} {minutes:>3} min  {title:<45} {word}");
        let _ = writeln!(out, "{}", row.trim_end());
    }
    let _ = writeln!(out, "\n{passed} of {} passed.", all.len());
    if !workspace::workshop().is_dir() {
        out.push_str("There is no workshop/ yet: `cargo xtask workshop start` makes it.\n");
    }
    stdout::write(&out)?;
    Ok(ExitCode::SUCCESS)
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
    fn the_manifest_is_built_like_the_workspace() {
        let top = "[a]\nx = 1\n\n# Why.\n[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n[b]\n";
        assert_eq!(profiles(top), "[profile.dev]\ndebug = 0\n\n[profile.dev.package.\"*\"]\ndebug = false\n");
        assert!(
            features(include_str!("../../../Cargo.toml"))
                .is_some_and(|it| it.starts_with("[\"") && it.ends_with("\"]"))
        );
    }
}
