//! `cargo xtask workshop`, `hint`, `diff`, `reset`, `catch-up` and `status`: the learner's own directory, `workshop/`.
//!
//! ```text
//! workshop/              git ignores it
//!   Cargo.toml           a workspace of its own, next to ours: it shares our target directory and our libraries' versions
//!   .cargo/config.toml   makes `cargo xtask` work in there
//!   src/main.rs          the program, the same one from exercise 0 on
//!   mine.py              or one in another language, which `workshop start --lang python` makes
//!   kept/                copies of what commands have replaced, so that nothing is lost
//!   progress.txt         what was passed and which hints were read, for each program
//! ```

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use exercises::{Exercise, Kind, without_header};
use lab::{cargo, output, target, workspace};
use nix::unistd::{chown, geteuid};

use crate::catalog;
use crate::text::{markdown, quoted};

mod hint;
mod program;
mod progress;
mod source;
mod start;
mod status;

pub(crate) use hint::{Diff, Hint, another_kind, diff, hint};
pub(crate) use program::Program;
pub(crate) use progress::Progress;
pub use source::compile;
pub(crate) use source::compiler;
pub use start::manifest;
pub(crate) use start::{Start, start};
pub(crate) use status::{Status, status};

/// The learner's package, and the program of all exercises that are about the container.
const NAME: &str = "mine";

/// Returns the path of an exercise's program, from the workshop directory.
pub(crate) fn source_of(exercise: &Exercise) -> String {
    match exercise.program() {
        NAME => "src/main.rs".into(),
        other => format!("src/bin/{other}.rs"),
    }
}

fn there() -> Result<PathBuf> {
    let directory = workspace::workshop();
    ensure!(directory.join("Cargo.toml").exists(), "there is no workshop/ yet: `cargo xtask workshop start` makes it");
    Ok(directory)
}

/// Returns the path of the learner's Rust program for an exercise, or how to get it back.
fn source(exercise: &Exercise) -> Result<PathBuf> {
    let (directory, file) = (there()?, source_of(exercise));
    let kept = if directory.join("kept").is_dir() { "; copies that were kept are in workshop/kept/" } else { "" };
    let id = &exercise.id;
    ensure!(
        directory.join(&file).exists(),
        "workshop/{file} is missing: `cargo xtask reset {id}` makes it again, as exercise {id} starts{kept}"
    );
    Ok(directory.join(file))
}

/// Builds the learner's program for an exercise; `None` if the compiler has explained why not.
pub(crate) fn build(exercise: &Exercise) -> Result<Option<PathBuf>> {
    ensure!(!workspace::IS_ARCHIVE, "{}", workspace::NO_RUST);
    let manifest = there()?.join("Cargo.toml");
    source(exercise)?;
    let name = exercise.program();
    let mut args: Vec<OsString> = ["rustc", "--quiet", "--bin", name, "--target-dir"].map(OsString::from).into();
    args.push(target::workshop()?.into());
    if name != NAME {
        // It runs in a rootfs, which need not have our C library.
        args.extend(["--", "-C", "target-feature=+crt-static"].map(OsString::from));
    }
    cargo::build_program(Some(&manifest), &args, name)
}

/// Returns the named exercise, otherwise the one that was begun, otherwise the next, otherwise the last.
pub(crate) fn meant(program: &Program, named: Option<&'static Exercise>) -> Result<&'static Exercise> {
    let open = || open(program, &Progress::read(program)?);
    match named.map_or_else(open, |it| Ok(Some(it)))? {
        Some(exercise) => Ok(exercise),
        None => in_order()?.into_iter().rfind(|it| program.takes(it)).context("there are no exercises"),
    }
}

/// Returns the exercise that was begun, even if it was passed before. Otherwise returns the first that wasn't passed yet, from
/// where the learner is, or of all.
pub(crate) fn open(program: &Program, progress: &Progress) -> Result<Option<&'static Exercise>> {
    match known(progress.value("begun", "exercise"))? {
        Some(begun) => Ok(Some(begun)),
        None => next(program, progress, known(progress.value("at", "exercise"))?),
    }
}

fn known(id: Option<&str>) -> Result<Option<&'static Exercise>> {
    Ok(catalog::exercises()?.iter().find(|it| id == Some(&it.id)))
}

/// Returns the exercises track by track.
fn in_order() -> Result<Vec<&'static Exercise>> {
    let mut all: Vec<_> = catalog::exercises()?.iter().collect();
    all.sort_by_key(|it| (it.track, it.order));
    Ok(all)
}

/// Returns an open exercise: in the track of `at`, from there on or else before it; otherwise the first after that track, or of
/// all. A step that was skipped isn't open. Another exercise is, although a starter may contain its solution as well.
pub(crate) fn next(program: &Program, progress: &Progress, at: Option<&Exercise>) -> Result<Option<&'static Exercise>> {
    let is_done = |it: &Exercise| {
        let is_skipped = progress.has_skipped(it);
        let is_here = at.is_some_and(|at| at.id == it.id);
        progress.has_passed(it) || is_skipped && (it.is_step() || is_here)
    };
    let mut all = in_order()?;
    all.retain(|it| program.takes(it) && !is_done(it));
    let Some(at) = at else { return Ok(all.first().copied()) };
    let in_track = || all.iter().filter(|it| it.track == at.track);
    let further = in_track().find(|it| it.order >= at.order).or(in_track().next());
    Ok(further.or(all.iter().find(|it| it.track > at.track)).or(all.first()).copied())
}

/// Remembers a program, if there is a workshop, so that commands that name no program mean this one.
pub(crate) fn remember(program: &Program) -> Result<()> {
    if program.is_noted() && Program::remembered().ok().as_ref() != Some(program) {
        Progress::update(program, |progress| progress.set_current(program))?;
    }
    Ok(())
}

/// Notes what was passed, what failed and why, and that the exercise asked for is finished if it was passed. Returns the progress.
pub(crate) fn note(
    program: &Program,
    passed: &[&Exercise],
    failed: Option<(&Exercise, String)>,
    asked: Option<&Exercise>,
) -> Result<Progress> {
    Progress::update(program, |progress| {
        passed.iter().for_each(|exercise| progress.pass(exercise));
        progress.set_failed(failed);
        if let Some(asked) = asked.filter(|asked| passed.iter().any(|it| it.id == asked.id)) {
            progress.finish(asked);
        }
    })
}

/// True if the learner's program is still what the exercise starts from.
pub(crate) fn is_untouched(program: &Program, exercise: &Exercise) -> bool {
    let mine = program.source(exercise).and_then(|file| Ok(fs::read_to_string(file)?));
    mine.is_ok_and(|mine| starter(program, exercise).is_ok_and(|starter| starter == mine))
}

/// Returns what an exercise starts from in the program's language.
fn starter(program: &Program, exercise: &Exercise) -> Result<String> {
    let (root, all) = (workspace::root(), catalog::exercises()?);
    let language = program.language().filter(|_| program.takes(exercise));
    let starter = language.map_or(Ok(None), |language| exercise.starter_in(root, all, language))?;
    starter.with_context(|| {
        format!("there is no program for exercise {} in the language of {}", exercise.id, program.label(None))
    })
}

/// Returns a number that changes when a file at `path` or below it does. What links lead to and what is mounted there doesn't count:
/// a rootfs is made without it, and it may be this machine's /proc, which always changes.
pub(crate) fn fingerprint(path: &Path) -> u64 {
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

/// Replaces the program with what an exercise starts from: the named one, or the one that was begun. It never replaces the program
/// of another exercise.
pub(crate) fn reset(named: Option<&'static Exercise>) -> Result<ExitCode> {
    let program = Program::remembered()?;
    let progress = Progress::read(&program)?;
    let Some(exercise) = named.or(known(progress.value("begun", "exercise"))?) else {
        bail!("which exercise? the next one is `cargo xtask reset {}`", meant(&program, None)?.id)
    };
    let Exercise { order, id, title, .. } = exercise;
    let label = program.label(Some(exercise));
    let what = format!("{label} is again the program that exercise {order} ({id}), {title}, starts from.");
    begin(&program, exercise, &what)
}

/// Replaces the program with the solution of everything that an exercise builds on.
pub(crate) fn catch_up(named: Option<&'static Exercise>) -> Result<ExitCode> {
    let program = Program::remembered()?;
    let exercise = meant(&program, named)?;
    let Exercise { order, id, title, .. } = exercise;
    let label = program.label(Some(exercise));
    let what = format!(
        "{label} is now our solution of everything before exercise {order} ({id}), {title}. What our solution does for you counts \
         as skipped, not as passed."
    );
    begin(&program, exercise, &what)
}

/// Writes the starter of an exercise, and keeps a copy of the learner's program.
fn begin(program: &Program, exercise: &Exercise, what: &str) -> Result<ExitCode> {
    if *program == Program::Mine {
        there()?;
    }
    let starter = starter(program, exercise)?;
    let file = program.source(exercise)?;
    let kept = keep(&file, &program.label(Some(exercise)))?;
    write(&file, &starter)?;
    let given = given_by(program, exercise)?;
    Progress::update(program, |progress| progress.begin(exercise, &given))?;
    let id = &exercise.id;
    output::write(&markdown(&format!("{what} `cargo xtask hint {id}` shows what to do.\n\n{kept}")))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the exercises that the starter of one solves: those that it builds on, and those whose solution it is made from.
fn given_by(program: &Program, exercise: &Exercise) -> Result<Vec<&'static Exercise>> {
    if exercise.kind == Kind::Attack {
        return Ok(Vec::new());
    }
    if *program != Program::Mine {
        return Ok(catalog::exercises()?.iter().filter(|it| exercise.after.contains(&it.id)).collect());
    }
    let root = workspace::root();
    let base = fs::read_to_string(root.join(&exercise.starter_base)).with_context(|| exercise.starter_base.clone())?;
    let mut given = Vec::new();
    for it in catalog::exercises()?.iter().filter(|it| it.id != exercise.id && it.kind == Kind::Container) {
        let solution = it.solution(root)?;
        let is_in_base = exercise.after.contains(&it.id) || without_header(&solution) == without_header(&base);
        // Exercise 0 is solved by its own starter, too.
        if is_in_base && without_header(&solution) != without_header(&it.starter(root)?) {
            given.push(it);
        }
    }
    Ok(given)
}

/// Copies the learner's file to `kept/`, under a new name. Returns a text with the place and the command that restores it, in which
/// the file is called `label`.
fn keep(mine: &Path, label: &str) -> Result<String> {
    if !mine.exists() {
        return Ok(String::new());
    }
    let name = mine.file_stem().unwrap_or_default().display();
    let extension = mine.extension().map(|it| format!(".{}", it.display())).unwrap_or_default();
    let kept = workspace::workshop().join("kept");
    fs::create_dir_all(&kept).with_context(|| format!("making {}", kept.display()))?;
    let mut number = 1;
    let copy = loop {
        let copy = format!("{name}-{number}{extension}");
        match fs::File::create_new(kept.join(&copy)) {
            Ok(_) => break copy,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("making workshop/kept/{copy}; your program was not changed"));
            }
        }
    };
    give_to_owner(&kept);
    give_to_owner(&kept.join(&copy));
    fs::copy(mine, kept.join(&copy)).with_context(|| format!("copying {} to workshop/kept/{copy}", mine.display()))?;
    let place = format!("workshop/kept/{copy}");
    let from = quoted(Path::new(&place));
    Ok(format!("Your program was copied to {place}. To restore it:\n\n    cp {from} {label}"))
}

/// Gives a file that root has made to the owner of its directory, who must be able to change it: root may be the teacher.
fn give_to_owner(path: &Path) {
    if geteuid().is_root()
        && let Some(Ok(owner)) = path.parent().map(Path::metadata)
    {
        // A file system that has no owners needs none.
        let _ = chown(path, Some(owner.uid().into()), Some(owner.gid().into()));
    }
}

/// Writes a file completely or not at all: next to its place, and then moved there.
fn write(path: &Path, text: &str) -> Result<()> {
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    let new = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
    let written = fs::create_dir_all(path.parent().unwrap_or(Path::new("")))
        .and_then(|()| fs::write(&new, text))
        .map(|()| give_to_owner(&new))
        .and_then(|()| path.metadata().map_or(Ok(()), |old| fs::set_permissions(&new, old.permissions())))
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
}
