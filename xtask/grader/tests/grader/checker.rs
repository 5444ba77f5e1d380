//! What the tests of the checker share: many small programs in one build, and a verdict in short.
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use exercises::{Exercise, edits, package};
use grader::check::diagnosis::Diagnosis;
use grader::check::verdict::Verdict;
use grader::check::{Candidate, Graded, grade};
use grader::{catalog, workshop};
use lab::workspace;
use testkit::host::{self, Host};

/// Builds Rust programs, pairs of a name and a source, and returns the directory they are in. `level` is the lint level of their
/// warnings. See [`package`] for how they become one binary.
pub fn build(set: &str, level: &str, programs: &[(String, String)]) -> PathBuf {
    let folder = write_package(set, level, programs);
    let target = lab::cargo::target_directory().unwrap();
    let args = ["build", "--quiet", "--offline", "--target-dir"].map(OsString::from);
    let args: Vec<OsString> = args.into_iter().chain([target.into()]).collect();
    let built = lab::cargo::build(Some(&folder.join("Cargo.toml")), &args).unwrap();
    let built = built.unwrap_or_else(|| panic!("{} can't be built, see above", folder.display()));
    let (_, program) = built.into_iter().next().unwrap();
    let links = folder.join("bin");
    let _ = fs::remove_dir_all(&links);
    fs::create_dir_all(&links).unwrap();
    for (name, _) in programs {
        fs::hard_link(&program, links.join(name)).unwrap();
    }
    links
}

/// Writes a package of programs, which is built with the workspace's libraries, and returns its directory.
pub fn write_package(set: &str, level: &str, programs: &[(String, String)]) -> PathBuf {
    let folder = lab::cargo::target_directory().unwrap().join("test-programs").join(set);
    let manifest = workshop::manifest(&format!("test-programs-{set}"));
    package::write(&folder, &manifest, level, programs).unwrap_or_else(|error| panic!("{error:#}"));
    fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

/// Runs cargo in a package of programs, with the workspace's target directory.
pub fn cargo<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>, last: &[&str]) {
    let mut cargo = Command::new(lab::cargo::program());
    cargo
        .args(words)
        .args(["--quiet", "--offline", "--target-dir"])
        .arg(lab::cargo::target_directory().unwrap())
        .args(last);
    assert!(cargo.current_dir(folder).status().unwrap().success(), "{} can't be built, see above", folder.display());
}

/// Finds an exercise.
pub fn exercise(id: &str) -> &'static Exercise {
    catalog::exercise(id).unwrap()
}

/// Returns the solution of an exercise.
pub fn solution(exercise: &Exercise) -> String {
    exercise.solution(workspace::root()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Makes a change, in the format of the exercises' `.diff` files.
pub fn edit(source: &str, diff: &str) -> String {
    let edits = edits::parse("this test's edit", diff);
    edits.and_then(|edits| edits::apply(source, &edits)).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Builds a program that is to run in any rootfs: linked statically, and with no library but std.
pub fn build_static(set: &str, name: &str, source: &str) -> PathBuf {
    let folder = lab::cargo::target_directory().unwrap().join("test-programs").join(set);
    fs::create_dir_all(&folder).unwrap();
    let (file, program) = (folder.join(format!("{name}.rs")), folder.join(name));
    fs::write(&file, source).unwrap();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--allow", "warnings", "-C", "target-feature=+crt-static", "-o"]);
    assert!(rustc.arg(&program).arg(&file).status().unwrap().success(), "{} does not compile", file.display());
    program
}

/// Returns a directory for the programs of one kind.
pub fn test_programs(kind: &str) -> PathBuf {
    let directory = lab::cargo::target_directory().unwrap().join("test-programs").join(kind);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Builds a C program, which must compile without a warning.
pub fn compile_c(name: &str, sources: &[&Path], link: &str) -> PathBuf {
    let program = test_programs("c").join(name);
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", link, "-o"]).arg(&program).args(sources);
    let status = gcc.status().expect("gcc is not there, and Rust links with it, too");
    assert!(status.success(), "{name} does not compile");
    program
}

/// A file beside the tests.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grader").join(name)
}

/// A folder with a rootfs that is like the tests', and that programs of ill will may do anything to.
pub fn own_room(name: &str) -> PathBuf {
    let room = lab::cargo::target_directory().unwrap().join("test-programs").join(name).join("room");
    let _ = fs::remove_dir_all(&room);
    fs::create_dir_all(&room).unwrap();
    // It builds the steps as well, into one of which an attack is put.
    let tests = Host::new();
    let copied = Command::new("cp").arg("-a").arg(tests.directory().join("rootfs")).arg(&room).status().unwrap();
    assert!(copied.success(), "cp -a {} failed", tests.directory().display());
    room
}

/// True unless `cargo xtask test --privilege root` asks for hosts without a user namespace.
pub fn in_user_namespace() -> bool {
    env::var_os(host::PRIVILEGE).is_none_or(|it| it != "root")
}

/// A program to be graded in `room`, with the rights that `cargo xtask test --privilege` asks for.
pub fn candidate(program: impl Into<OsString>, room: &Path) -> Candidate {
    Candidate::new(vec![program.into()], room.to_owned(), in_user_namespace())
}

/// The first check that a program did not pass.
#[derive(Debug)]
pub struct NotPassed {
    /// The exercise's id.
    pub exercise: &'static str,
    /// What it came to.
    pub verdict: Verdict,
}

impl NotPassed {
    /// The misconception, if it failed.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        match &self.verdict {
            Verdict::Fail(failure) => Some(failure.diagnosis),
            _ => None,
        }
    }
}

/// Grades, and gives the first check that the program did not pass.
///
/// # Errors
/// When the grader itself failed.
pub fn first_not_passed(candidate: &Candidate, exercise: &'static Exercise) -> Result<Option<NotPassed>, String> {
    let graded = grade(candidate, exercise).map_err(|error| format!("the grader failed: {error:#}"))?;
    for Graded { exercise: Exercise { id, checks, .. }, verdicts } in graded {
        for (check, verdict) in checks.iter().zip(verdicts) {
            match verdict {
                Some(Verdict::Pass) => {}
                Some(verdict) => return Ok(Some(NotPassed { exercise: id, verdict })),
                None => return Err(format!("{id}: {}: not looked at, and nothing before it failed", check.sentence)),
            }
        }
    }
    Ok(None)
}

/// What came of a test's program.
pub type Outcome = Result<Told, String>;

/// Is it known that the checker is right about a program?
pub enum Told {
    /// It said what it should.
    Right,
    /// This machine can't tell, and why.
    CannotRun(String),
}

fn cannot_run(found: &NotPassed, graded: &Exercise) -> Option<Outcome> {
    match &found.verdict {
        Verdict::CannotRun { why, .. } if graded.needs.is_some() || exercise(found.exercise).needs.is_some() => {
            Some(Ok(Told::CannotRun(format!("{}: {why}", found.exercise))))
        }
        _ => None,
    }
}

/// Must it be told by that name?
pub fn must_fail(candidate: &Candidate, exercise: &'static Exercise, expected: Diagnosis) -> Outcome {
    let found = first_not_passed(candidate, exercise)?;
    match found.as_ref().and_then(NotPassed::diagnosis) {
        Some(seen) if seen == expected => Ok(Told::Right),
        _ => found
            .as_ref()
            .and_then(|found| cannot_run(found, exercise))
            .unwrap_or_else(|| Err(format!("should be {}, and is {found:?}", expected.id()))),
    }
}

/// Must it pass all?
pub fn must_pass(candidate: &Candidate, exercise: &'static Exercise) -> Outcome {
    let Some(found) = first_not_passed(candidate, exercise)? else { return Ok(Told::Right) };
    cannot_run(&found, exercise).unwrap_or_else(|| Err(format!("should pass, and is {found:?}")))
}

/// Counts, and says the count; fails with all that went wrong.
pub fn tally(what: &str, results: &[(&str, Outcome)]) {
    let mut lines = String::new();
    let (mut right, mut cannot, mut wrong) = (0, 0, Vec::new());
    for (name, result) in results {
        match result {
            Ok(Told::Right) => right += 1,
            Ok(Told::CannotRun(why)) => {
                cannot += 1;
                let _ = writeln!(lines, "CANNOT RUN HERE: {name}: {why}");
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let _ = write!(lines, "{what}: {right} of {}", results.len() - cannot);
    let _ = writeln!(lines, "{}", if cannot > 0 { format!(", and {cannot} cannot run here") } else { String::new() });
    // Not by a macro: what those print, a test that passes keeps to itself.
    io::stderr().write_all(lines.as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Does something with each, a few at a time, and gives the results in their order. Most of a check is waiting.
pub fn some_at_a_time<'a, T: Sync, R: Send>(items: &'a [T], does: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
    const AT_A_TIME: usize = 6;
    let next = Mutex::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    let Some(item) = items.get(index) else { return };
                    let result = does(item);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
