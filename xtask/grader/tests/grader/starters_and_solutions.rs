//! Each exercise's starter passes the exercises that it builds on and fails its own; its solution passes all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::checker::{self, build_static, edit, in_user_namespace, solution, some_at_a_time};
use exercises::{Exercise, Kind, package, without_header};
use grader::catalog;
use grader::check::diagnosis::Diagnosis;
use grader::check::verdict::Verdict;
use grader::check::{Candidate, Graded, grade, grade_alone};
use lab::workspace;
use testkit::host::Host;

/// Builds the starters and solutions in one go, and returns each program by its source without the header.
fn programs() -> &'static BTreeMap<String, PathBuf> {
    static PROGRAMS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let programs = package::starters_and_solutions(workspace::root()).unwrap();
        let links = checker::build("exercises", "deny", &programs);
        let mut programs: BTreeMap<_, _> =
            programs.into_iter().map(|(name, source)| (without_header(&source).to_owned(), links.join(name))).collect();
        for exercise in catalog::exercises().unwrap().iter().filter(|it| it.kind == Kind::Attack) {
            for (name, source) in [("starter", starter(exercise)), ("solution", solution(exercise))] {
                let program = build_static("attacks", &format!("{}-{name}", exercise.id), &source);
                programs.insert(without_header(&source).to_owned(), program);
            }
        }
        programs
    })
}

fn candidate(program: &Path, in_user_namespace: bool) -> Candidate {
    // The host's steps are what an attack is put into.
    let directory = Host::new().directory;
    Candidate::new(vec![program.into()], directory, in_user_namespace)
}

/// What a program is graded by.
#[derive(Clone, Copy)]
enum By {
    /// One exercise.
    Itself,
    /// An exercise and those that it builds on.
    All,
}

/// Grades, and reports what this machine can't grade. That is not a pass, and only some exercises may report it.
fn graded(source: &str, exercise: &'static Exercise, in_user_namespace: bool, by: By) -> Vec<Graded> {
    let candidate = candidate(&programs()[without_header(source)], in_user_namespace);
    let graded = match by {
        By::Itself => vec![grade_alone(&candidate, exercise).unwrap()],
        By::All => grade(&candidate, exercise).unwrap(),
    };
    for it in &graded {
        for (check, verdict) in it.exercise.checks.iter().zip(&it.verdicts) {
            if let Some(Verdict::CannotRun { why, .. }) = verdict {
                let mode = if in_user_namespace { "user" } else { "root" };
                let line = format!("CANNOT RUN HERE ({mode}): {}: {}: {why}", it.exercise.id, check.sentence);
                checker::print(&line);
                assert!(it.exercise.needs.is_some() || exercise.needs.is_some(), "{line}");
            }
        }
    }
    graded
}

fn cannot_run(graded: &[Graded]) -> bool {
    graded.iter().flat_map(|it| &it.verdicts).any(|it| matches!(it, Some(Verdict::CannotRun { .. })))
}

fn starter(exercise: &Exercise) -> String {
    exercise.starter(workspace::root()).unwrap()
}

/// Returns what is wrong with an exercise: its starter must get the diagnosis that its text names, and its solution must pass.
fn faults(exercise: &'static Exercise, in_user_namespace: bool, by: By) -> Vec<String> {
    let id = &exercise.id;
    let mut faults = Vec::new();
    for it in graded(&solution(exercise), exercise, in_user_namespace, by) {
        for (check, verdict) in it.exercise.checks.iter().zip(&it.verdicts) {
            if !matches!(verdict, Some(Verdict::Pass | Verdict::CannotRun { .. })) {
                faults.push(format!("the solution of {id}: {}: {}: {verdict:?}", it.exercise.id, check.sentence));
            }
        }
    }
    let Some(expected) = &exercise.diagnosis else { return faults };
    let started = graded(&starter(exercise), exercise, in_user_namespace, by);
    let (own, before) = started.split_last().unwrap();
    for it in before {
        if it.verdicts.iter().any(|it| *it != Some(Verdict::Pass)) {
            faults.push(format!("the starter of {id} fails before: {}: {:?}", it.exercise.id, it.verdicts));
        }
    }
    let failure = own.verdicts.iter().flatten().find_map(|it| match it {
        Verdict::Fail(failure) => Some(failure.diagnosis.id()),
        _ => None,
    });
    if failure.as_ref() != Some(expected) && !cannot_run(&started) {
        faults.push(format!("the starter of {id}, which should be {expected}: {:?}", own.verdicts));
    }
    faults
}

fn each_is_red_and_then_green(in_user_namespace: bool, by: By) {
    // Compiling needs no turn.
    programs();
    let _turn = checker::turn();
    let faults = some_at_a_time(catalog::exercises().unwrap(), |it| faults(it, in_user_namespace, by)).concat();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_starter_is_red_and_each_solution_green() {
    each_is_red_and_then_green(true, By::Itself);
}

#[test]
fn an_attack_that_needs_a_loader_is_told_so() {
    let exercise = checker::exercise("escape");
    let source = solution(exercise);
    let program = checker::build("dynamic", "deny", &[("escape".into(), source)]).join("escape");
    let graded = grade(&candidate(&program, true), exercise).unwrap();
    let verdict = graded[0].verdicts[0].as_ref().unwrap();
    match verdict {
        // On a rootfs made of this machine's programs there is the loader, too.
        Verdict::Pass => assert!(!Host::new().has_busybox()),
        Verdict::Fail(failure) => assert_eq!(failure.diagnosis, Diagnosis::NotStatic),
        verdict => panic!("{verdict:?}"),
    }
}

/// Finds every cgroup of every hierarchy that a sandbox or one of these tests' programs has made.
fn find_cgroups(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // A sandbox of another test may run meanwhile.
            if name.strip_prefix("mini-docker-check-").is_some_and(|pid| Path::new("/proc").join(pid).exists()) {
                continue;
            }
            if name.contains("mini-docker") {
                found.push(path.clone());
            }
            find_cgroups(&path, found);
        }
    }
}

fn cgroups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    find_cgroups(Path::new("/sys/fs/cgroup"), &mut found);
    found
}

/// Asserts that there are only the cgroups of before. A check that was killed may have left some, and those of another test's check
/// are removed a moment after it ends.
fn none_is_left(before: &[PathBuf]) {
    let start = Instant::now();
    loop {
        let mut found = cgroups();
        found.retain(|it| !before.contains(it));
        if found.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{found:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

mod as_root {
    use super::*;

    /// Held by a test that makes cgroups of its own, or counts them.
    static CGROUPS: Mutex<()> = Mutex::new(());

    #[test]
    #[ignore = "needs root, for a cgroup"]
    fn no_cgroup_of_a_program_stays_on_the_machine() {
        let _guard = CGROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cgroups();
        let exercise = checker::exercise("limits");
        let source = solution(exercise);
        // It makes some below, some at the top, and removes none.
        let mess = r#"
@@
         write(&cgroup.new.join("pids.max"), pids)?;
+        for place in ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"].map(Path::new).into_iter().chain([cgroup.new.as_path()]) {
+            let _ = fs::create_dir_all(place.join("mini-docker-check-mess/and/more"));
+        }
@@
-        let _ = fs::remove_dir(&self.new);
"#;
        let program = checker::build("messy", "deny", &[("limits".into(), edit(&source, mess))]).join("limits");
        let graded = grade(&candidate(&program, false), exercise).unwrap();
        let verdict = graded.last().unwrap().verdicts[0].as_ref().unwrap();
        let Verdict::Fail(failure) = verdict else {
            let line = format!("CANNOT RUN HERE: {verdict:?}");
            checker::print(&line);
            assert!(matches!(verdict, Verdict::CannotRun { .. }), "{line}");
            return;
        };
        assert_eq!(failure.diagnosis, Diagnosis::CgroupLeft, "{failure:?}");
        none_is_left(&before);
    }

    #[test]
    #[ignore = "needs root, for a cgroup"]
    fn a_second_command_outside_of_the_containers_cgroup_is_found() {
        let exercise = checker::exercise("enter");
        let change = r#"
@@
-    join_cgroups(&fs::read_to_string(theirs.join("cgroup")).unwrap_or_default());
"#;
        let source = edit(&solution(exercise), change);
        let program = checker::build("outside", "allow", &[("enter".into(), source)]).join("enter");
        let graded = grade(&candidate(&program, false), exercise).unwrap();
        let failure = graded.last().unwrap().verdicts.iter().flatten().find_map(|it| match it {
            Verdict::Fail(failure) => Some(failure.diagnosis),
            _ => None,
        });
        // Where no cgroup can be made, the check holds for every program.
        let limits = checker::exercise("limits");
        let can_tell = !cannot_run(&graded_as_root(limits));
        assert_eq!(failure, can_tell.then_some(Diagnosis::CgroupNotJoined), "{graded:?}");
    }

    fn graded_as_root(exercise: &'static Exercise) -> Vec<Graded> {
        graded(&solution(exercise), exercise, false, By::All)
    }

    /// Returns a directory in which root may make a cgroup.
    fn place_for_a_cgroup() -> Option<&'static Path> {
        let places = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        let trial = |place: &&Path| place.join("mini-docker-trial");
        let found =
            places.into_iter().find(|it| fs::create_dir(trial(it)).and_then(|()| fs::remove_dir(trial(it))).is_ok());
        if found.is_none() {
            checker::print("CANNOT RUN HERE: root may make no cgroup");
        }
        found
    }

    #[test]
    #[ignore = "needs root, for a cgroup"]
    fn the_cgroup_of_a_check_that_was_killed_is_removed_by_the_next() {
        let _guard = CGROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = place_for_a_cgroup() else { return };
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let left = place.join(format!("mini-docker-check-{}", ended.id()));
        fs::create_dir_all(left.join("start")).unwrap();
        graded(&solution(checker::exercise("uts")), checker::exercise("uts"), true, By::Itself);
        assert!(!left.exists(), "{left:?}");
    }

    #[test]
    #[ignore = "needs root, for a cgroup"]
    fn a_program_that_begins_with_a_cgroup_passes_and_leaves_none_on_the_machine() {
        let _guard = CGROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cgroups();
        if place_for_a_cgroup().is_none() {
            return;
        }
        let exercise = checker::exercise("uts");
        let source = solution(exercise);
        let mess = r#"
@@
 fn run(program: &OsStr, args: &[OsString]) -> Result<u8> {
+    let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"].map(|it| format!("{it}/mini-docker-mess"));
+    let made = places.iter().filter(|it| std::fs::create_dir_all(it).is_ok());
+    let entered = made.filter(|it| std::fs::write(format!("{it}/cgroup.procs"), "0").is_ok()).count();
+    anyhow::ensure!(entered > 0, "there is no cgroup to enter");
"#;
        let program = checker::build("cgroup", "deny", &[("uts".into(), edit(&source, mess))]).join("uts");
        for in_user_namespace in [true, false] {
            let graded = grade(&candidate(&program, in_user_namespace), exercise).unwrap();
            assert!(graded.iter().flat_map(|it| &it.verdicts).all(|it| *it == Some(Verdict::Pass)), "{graded:?}");
            none_is_left(&before);
        }
    }
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: grades by every earlier exercise again"]
    fn each_starter_and_each_solution_passes_all_that_it_builds_on() {
        each_is_red_and_then_green(in_user_namespace(), By::All);
    }

    #[test]
    #[ignore = "slow: compiles every program again"]
    fn no_starter_and_no_solution_has_a_clippy_warning() {
        let programs = package::starters_and_solutions(workspace::root()).unwrap();
        checker::cargo(&checker::write_package("exercises", "deny", &programs), ["clippy"], &["--", "-D", "warnings"]);
    }
}
