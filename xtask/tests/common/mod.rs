//! What the tests of the checker share: many small programs in one build, and a verdict in short.
#![allow(dead_code, reason = "each of these tests is a crate of its own, and uses a part")]

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use xtask::check::diagnosis::Diagnosis;
use xtask::check::verdict::Verdict;
use xtask::check::{Candidate, Graded, grade};
use xtask::exercises::Exercise;
use xtask::{host, rootfs, workshop, workspace};

/// Builds Rust programs, pairs of a name and a source, and returns the folder they are in.
///
/// They are modules of one program with as many names, for linking fifty takes longer than all the tests. Which of them it
/// is to be, it learns from its own path; and as each name is a hard link, /proc/self/exe leads a program back to itself.
pub fn build(set: &str, programs: &[(String, String)]) -> PathBuf {
    let folder = workspace::target().join("test-programs").join(set);
    let source = folder.join("src");
    let names: BTreeSet<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), programs.len(), "two programs have the same name");
    // Those of another day, which are no more.
    let _ = fs::remove_dir_all(&source);
    fs::create_dir_all(&source).unwrap();
    let package = format!("test-programs-{set}");
    let manifest = workshop::manifest(&package).unwrap_or_else(|error| panic!("{error:#}"));
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut main = "#![allow(warnings)]\nuse std::process::{ExitCode, Termination};\n".to_owned();
    let mut arms = String::new();
    for (index, (name, text)) in programs.iter().enumerate() {
        let _ = writeln!(main, "#[path = \"{name}.rs\"] mod m{index};");
        let _ = writeln!(arms, "        {name:?} => m{index}::entry().report(),");
        fs::write(
            source.join(format!("{name}.rs")),
            format!("{text}\npub fn entry() -> impl std::process::Termination {{ main() }}\n"),
        )
        .unwrap();
    }
    let _ = write!(
        main,
        "fn main() -> ExitCode {{\n    let me = std::env::current_exe().unwrap();\n    \
         match me.file_name().unwrap().to_str().unwrap() {{\n{arms}        _ => unreachable!(),\n    }}\n}}\n"
    );
    fs::write(source.join("main.rs"), main).unwrap();

    let programs_folder = workspace::programs().unwrap();
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["build", "--quiet", "--offline", "--target-dir"]).arg(workspace::target()).current_dir(&folder);
    cargo.args(programs_folder.ends_with("release").then_some("--release"));
    assert!(cargo.status().unwrap().success(), "the programs of {} can't be built, see above", folder.display());
    let links = folder.join("bin");
    let _ = fs::remove_dir_all(&links);
    fs::create_dir_all(&links).unwrap();
    for name in names {
        fs::hard_link(programs_folder.join(&package), links.join(name)).unwrap();
    }
    links
}

/// Builds a C program, which is to compile without a warning.
pub fn compile_c(source: &Path) -> PathBuf {
    let folder = workspace::target().join("test-programs/c");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join(source.file_stem().unwrap());
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program).arg(source);
    let status = gcc.status().expect("gcc is not there, and Rust links with it, too");
    assert!(status.success(), "{} does not compile", source.display());
    program
}

/// A file beside the tests.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A program to be graded in the tests' folder, with the rights that `cargo xtask test --privilege` asks for.
pub fn candidate(program: impl Into<OsString>) -> Candidate {
    let folder = rootfs::test_room().unwrap_or_else(|error| panic!("{error:#}"));
    let in_user_namespace = env::var_os(host::PRIVILEGE).is_none_or(|it| it != "root");
    Candidate { program: vec![program.into()], folder, in_user_namespace }
}

/// The first check that a program did not pass.
#[derive(Debug)]
pub struct NotPassed {
    /// The exercise's id.
    pub exercise: &'static str,
    /// The check, as a sentence.
    pub check: &'static str,
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
/// When the examiner itself failed.
pub fn first_not_passed(candidate: &Candidate, exercise: &'static Exercise) -> Result<Option<NotPassed>, String> {
    let graded = grade(candidate, exercise).map_err(|error| format!("the examiner failed: {error:#}"))?;
    for Graded { exercise: Exercise { id, checks, .. }, verdicts } in graded {
        for (check, verdict) in checks.iter().zip(verdicts) {
            match verdict {
                Some(Verdict::Pass) => {}
                Some(verdict) => return Ok(Some(NotPassed { exercise: id, check: check.says, verdict })),
                None => return Err(format!("{id}: {}: not looked at, and nothing before it failed", check.says)),
            }
        }
    }
    Ok(None)
}

/// Must it be told by that name?
///
/// # Errors
/// What came out instead.
pub fn must_fail(candidate: &Candidate, exercise: &'static Exercise, expected: Diagnosis) -> Result<(), String> {
    let found = first_not_passed(candidate, exercise)?;
    match found.as_ref().and_then(NotPassed::diagnosis) {
        Some(seen) if seen == expected => Ok(()),
        _ => Err(format!("should be {}, and is {found:?}", expected.id())),
    }
}

/// Must it pass all?
///
/// # Errors
/// What it did not pass.
pub fn must_pass(candidate: &Candidate, exercise: &'static Exercise) -> Result<(), String> {
    first_not_passed(candidate, exercise)?.map_or(Ok(()), |found| Err(format!("should pass, and is {found:?}")))
}

/// Counts, and prints the count; fails with all that went wrong.
pub fn tally(what: &str, results: &[(&str, Result<(), String>)]) {
    let wrong: Vec<String> =
        results.iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?))).collect();
    println!("{what}: {} of {}", results.len() - wrong.len(), results.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Does something with each, a few at a time, and gives the results in their order. Most of a check is waiting.
pub fn some_at_a_time<T: Sync, R: Send>(items: &[T], does: impl Fn(&T) -> R + Sync) -> Vec<R> {
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
