//! What the grader's tests share: they build many programs in one go, and grade them.
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use exercises::{Exercise, edits, package};
use grader::check::verdict::Verdict;
use grader::check::{Candidate, grade};
use grader::{catalog, workshop};
use lab::workspace;
use testkit::host::{self, Host};

/// Builds Rust programs, pairs of a name and a source, and returns the directory they are in. `level` is the lint level of their
/// warnings. See [`package`] for how they become one binary.
pub fn build(set: &str, level: &str, programs: &[(String, String)]) -> PathBuf {
    let directory = write_package(set, level, programs);
    let target = lab::cargo::target_directory().unwrap();
    let args = ["build", "--quiet", "--offline", "--target-dir"].map(OsString::from);
    let args: Vec<OsString> = args.into_iter().chain([target.into()]).collect();
    let built = lab::cargo::build(Some(&directory.join("Cargo.toml")), &args).unwrap();
    let built = built.unwrap_or_else(|| panic!("{} can't be built, see above", directory.display()));
    let (_, program) = built.into_iter().next().unwrap();
    let links = directory.join("bin");
    let _ = fs::remove_dir_all(&links);
    fs::create_dir_all(&links).unwrap();
    for (name, _) in programs {
        fs::hard_link(&program, links.join(name)).unwrap();
    }
    links
}

/// Writes a package of programs, which is built with the workspace's libraries, and returns its directory.
pub fn write_package(set: &str, level: &str, programs: &[(String, String)]) -> PathBuf {
    let directory = test_programs(set);
    let manifest = workshop::manifest(&format!("test-programs-{set}"));
    package::write(&directory, &manifest, level, programs).unwrap_or_else(|error| panic!("{error:#}"));
    fs::copy(workspace::root().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    directory
}

/// Runs cargo in a package of programs, with the workspace's target directory.
pub fn cargo<'a>(directory: &Path, words: impl IntoIterator<Item = &'a str>, last: &[&str]) {
    let mut cargo = Command::new(lab::cargo::program());
    cargo
        .args(words)
        .args(["--quiet", "--offline", "--target-dir"])
        .arg(lab::cargo::target_directory().unwrap())
        .args(last);
    assert!(
        cargo.current_dir(directory).status().unwrap().success(),
        "{} can't be built, see above",
        directory.display()
    );
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

/// Builds a program that runs in any rootfs: it is linked statically, and uses only std.
pub fn build_static(set: &str, name: &str, source: &str) -> PathBuf {
    let directory = test_programs(set);
    let (file, program) = (directory.join(format!("{name}.rs")), directory.join(name));
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

/// Returns the path of a file next to the tests.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grader").join(name)
}

/// Makes a directory with a copy of the tests' rootfs, to which programs may do any harm.
pub fn own_directory(name: &str) -> PathBuf {
    let directory = test_programs(name).join("directory");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    // This also builds the steps, which attacks are put into.
    let tests = Host::new();
    let copied = Command::new("cp").arg("-a").arg(tests.directory.join("rootfs")).arg(&directory).status().unwrap();
    assert!(copied.success(), "cp -a {} failed", tests.directory.display());
    directory
}

/// True unless `cargo xtask test --privilege root` asks for hosts without a user namespace.
pub fn in_user_namespace() -> bool {
    env::var_os(host::PRIVILEGE).is_none_or(|it| it != "root")
}

/// Returns a program to be graded in `directory`, with the privilege that `cargo xtask test --privilege` asks for.
pub fn candidate(program: impl Into<OsString>, directory: &Path) -> Candidate {
    Candidate::new(vec![program.into()], directory.to_owned(), in_user_namespace())
}

/// Grades a program, and returns `passes`, the id of the first diagnosis, or why there is no verdict.
pub fn verdict(candidate: &Candidate, exercise: &'static Exercise) -> String {
    let graded = match grade(candidate, exercise) {
        Ok(graded) => graded,
        Err(error) => return format!("the grader failed: {error:#}"),
    };
    match graded.into_iter().flat_map(|it| it.verdicts).find(|it| *it != Some(Verdict::Pass)) {
        None => "passes".to_owned(),
        Some(Some(Verdict::Fail(failure))) => failure.diagnosis.id(),
        Some(Some(Verdict::CannotRun { why, .. })) => format!("cannot run: {why}"),
        Some(verdict) => format!("{verdict:?}"),
    }
}

/// Prints a line even if the test passes, in contrast to the macros.
pub fn print(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Waits until no other test that grades many programs is grading: a fork bomb, or 64 checks at once, would leave another test's
/// programs no time.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls a function with each item, a few at a time because a check mostly waits, and returns the results in order.
pub fn some_at_a_time<'a, T: Sync, R: Send>(items: &'a [T], call: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
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
                    let result = call(item);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
