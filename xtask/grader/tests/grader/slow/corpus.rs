//! A corpus of programs: wrong ones, each of which must get a diagnosis that fits, and right ones that differ from the solution,
//! which must pass. They are the small changes of the solution in each exercise's `mutants.diff`, and the files in its
//! `programs/`, in any language.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use exercises::{EXERCISES, Exercise, Kind, Language, Mutant, Program, edits};
use grader::catalog;
use grader::check::diagnosis::Diagnosis;
use lab::workspace;
use nix::unistd::geteuid;
use testkit::program::write_program;

use crate::checker::{self, candidate, compile_c, own_directory, some_at_a_time};

/// Diagnoses that no program of the corpus can get, and why.
const NOT_COVERED: &[(Diagnosis, &str)] = &[
    (Diagnosis::NotAProgram, "there is no source to edit: see what_can_not_be_executed_is_no_program"),
    (Diagnosis::NotStatic, "it is how a program is linked: see an_attack_that_needs_a_loader_is_told_so"),
    (Diagnosis::CgroupNotJoined, "it takes a cgroup: see a_second_command_outside_of_the_containers_cgroup_is_found"),
];

/// The environment variable that picks programs: those whose names contain its value, such as `reap/`.
const ONLY: &str = "CORPUS";

/// A program, and an exercise by which it is graded.
struct Case {
    name: String,
    exercise: &'static Exercise,
    /// The ids of the diagnoses that fit; none if it must pass.
    wants: Vec<String>,
    file: PathBuf,
}

fn all_exercises() -> impl Iterator<Item = &'static Exercise> {
    catalog::exercises().unwrap().iter()
}

fn mutants() -> impl Iterator<Item = (&'static Exercise, Mutant)> {
    all_exercises().flat_map(|exercise| {
        exercise.mutants(workspace::root()).unwrap().into_iter().map(move |mutant| (exercise, mutant))
    })
}

fn programs() -> impl Iterator<Item = (&'static Exercise, Program)> {
    all_exercises().flat_map(|exercise| {
        exercise.programs(workspace::root()).unwrap().into_iter().map(move |program| (exercise, program))
    })
}

/// Builds the mutants.
fn built_mutants(in_user_namespace: bool) -> Vec<Case> {
    let source = |exercise: &Exercise, mutant: &Mutant| {
        let source = edits::apply(&checker::solution(exercise), &mutant.edits);
        source.unwrap_or_else(|error| panic!("{}: {error:#}", mutant.name))
    };
    let containers = mutants().filter(|(exercise, _)| exercise.kind == Kind::Container);
    let sources: Vec<_> = containers.map(|(exercise, it)| (it.name.clone(), source(exercise, &it))).collect();
    let directory = checker::build("mutants", "allow", &sources);
    let case = |(exercise, mutant): (&'static Exercise, Mutant)| {
        let passes = mutant.passes_as_root && !in_user_namespace;
        let file = match exercise.kind {
            Kind::Container => directory.join(&mutant.name),
            // All containers are one file, whose name picks the program. In a rootfs an attack has another name.
            Kind::Attack => checker::build_static("attacks", &mutant.name, &source(exercise, &mutant)),
        };
        let wants = mutant.diagnosis.filter(|_| !passes).into_iter().collect();
        Case { name: format!("{}/{}", exercise.id, mutant.name), exercise, wants, file }
    };
    mutants().map(case).collect()
}

/// Builds the programs that this machine can run, and adds what the others need to `lines`.
fn built_programs(in_user_namespace: bool, lines: &mut String) -> Vec<Case> {
    let mut cases = Vec::new();
    for (exercise, program) in programs() {
        if let Some(need) = missing(&program, in_user_namespace) {
            let _ = writeln!(lines, "CANNOT RUN HERE: {} needs {need}", program.name);
            continue;
        }
        let file = build(&program, exercise.kind);
        let Program { name, wants, also, .. } = program;
        for exercise in [exercise].into_iter().chain(also.iter().map(|id| checker::exercise(id))) {
            cases.push(Case { name: name.clone(), exercise, wants: wants.clone(), file: file.clone() });
        }
    }
    cases
}

/// Builds the solutions in other languages than Rust, which must pass, and adds what the others need to `lines`.
fn built_solutions(lines: &mut String) -> Vec<Case> {
    let directory = checker::test_programs("solutions");
    let mut cases = Vec::new();
    for (exercise, language) in all_exercises().flat_map(|it| Language::ALL.map(|language| (it, language))) {
        let source = exercise.solution_in(workspace::root(), catalog::exercises().unwrap(), language).unwrap();
        let Some(source) = source.filter(|_| language != Language::Rust) else { continue };
        let name = format!("{}/solution.{}", exercise.id, language.extension());
        let need = language.translator().filter(|need| !is_on_path(need));
        if let Some(need) = need {
            let _ = writeln!(lines, "CANNOT RUN HERE: {name} needs {need}");
            continue;
        }
        let file = directory.join(name.replace('/', "-"));
        write_program(&file, source.as_bytes());
        let file = grader::compile(&file, exercise.kind).unwrap().expect("it compiles");
        cases.push(Case { name, exercise, wants: Vec::new(), file });
    }
    cases
}

fn is_on_path(name: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|directory| directory.join(name).is_file())
}

/// Returns what this machine lacks for a program, or for building it.
fn missing(program: &Program, in_user_namespace: bool) -> Option<&str> {
    program.needs.iter().map(String::as_str).find(|need| match *need {
        "root" => in_user_namespace,
        "real-root" => !geteuid().is_root(),
        "x86_64" => env::consts::ARCH != "x86_64",
        "locked-flags" => !in_user_namespace || !sys_is_nosuid(),
        "cgroups-for-users" => !geteuid().is_root() && cgroups_are_hybrid(),
        name => !is_on_path(name),
    })
}

/// True if there are controllers both in cgroup v1 and in v2, which crun refuses for an ordinary user.
fn cgroups_are_hybrid() -> bool {
    let controllers = fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or_default();
    !controllers.trim().is_empty()
}

/// True if a flag of /sys is one that a user namespace may not remove.
fn sys_is_nosuid() -> bool {
    let mounts = lab::mountinfo::parse(&fs::read("/proc/self/mountinfo").unwrap());
    mounts.iter().any(|it| it.point == Path::new("/sys") && it.has_option("nosuid"))
}

/// Returns the file to execute, which is the program itself if it is a script.
fn build(program: &Program, kind: Kind) -> PathBuf {
    let source = workspace::root().join(&program.path);
    let container = Path::new(EXERCISES).join("proc/programs/container.c");
    let name = program.name.replace('/', "-");
    match source.extension().and_then(|it| it.to_str()) {
        // An attack is executed in another root, where it can't find a library.
        Some("c") if kind == Kind::Attack => compile_c(&name, &[&source], "-static"),
        Some("c") if program.path == container => compile_c(&name, &[&source], "-pthread"),
        Some("c") => compile_c(&name, &[&source, &workspace::root().join(container)], "-pthread"),
        Some("go") => build_go(&name, &source),
        _ => source,
    }
}

/// Builds a program in Go, which must compile, and links it to `proc/programs/container.go` if it has no main.
fn build_go(name: &str, source: &Path) -> PathBuf {
    let built = checker::test_programs("go").join(name);
    // Go builds only the files of one directory together.
    let directory = checker::test_programs("go-sources").join(name);
    fs::create_dir_all(&directory).unwrap();
    let has_main = fs::read_to_string(source).unwrap().contains("\nfunc main() {");
    let container = workspace::root().join(EXERCISES).join("proc/programs/container.go");
    let files = [source, &container].into_iter().take(if has_main { 1 } else { 2 });
    let mut go = Command::new("go");
    go.current_dir(&directory).env("CGO_ENABLED", "0").args(["build", "-o"]).arg(&built);
    for file in files {
        fs::copy(file, directory.join(file.file_name().unwrap())).unwrap();
        go.arg(file.file_name().unwrap());
    }
    assert!(go.status().unwrap().success(), "{name} does not compile");
    built
}

#[test]
#[ignore = "slow: grades three hundred programs"]
fn each_program_gets_the_verdict_that_it_wants() {
    let directory = own_directory("corpus");
    let in_user_namespace = checker::in_user_namespace();
    let mut lines = String::new();
    let mut cases = built_mutants(in_user_namespace);
    cases.extend(built_programs(in_user_namespace, &mut lines));
    cases.extend(built_solutions(&mut lines));
    let only = env::var(ONLY).unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    let verdict = |case: &Case| checker::verdict(&candidate(&case.file, &directory), case.exercise);
    let _turn = checker::turn();
    let outcomes = some_at_a_time(&cases, |case| {
        let got = verdict(case);
        let (first, is_wanted) = outcome(case, &got);
        if !is_wanted || first == CANNOT_RUN {
            let wanted = if case.wants.is_empty() { "passes".to_owned() } else { case.wants.join(" | ") };
            checker::print(&format!("{}: {}: wants {wanted}, and got {got}", case.exercise.id, case.name));
        }
        // A check is random, and the tests keep this machine as busy as it can be. Count such a program, but accept it.
        let is_unsteady = || (0..2).all(|_| outcome(case, &verdict(case)).1);
        if !is_wanted && is_unsteady() { (UNSTEADY, true) } else { (first, is_wanted) }
    });
    let mut counts = BTreeMap::new();
    for (outcome, _) in &outcomes {
        *counts.entry(*outcome).or_insert(0) += 1;
    }
    for (outcome, count) in counts {
        let _ = writeln!(lines, "{count} {outcome}");
    }
    checker::print(lines.trim_end());
    let unsteady = outcomes.iter().filter(|(outcome, _)| *outcome == UNSTEADY).count();
    assert!(100 * unsteady <= outcomes.len().max(100), "{unsteady} programs have no steady verdict, see above");
    let unwanted = outcomes.iter().filter(|(_, is_wanted)| !is_wanted).count();
    assert_eq!(unwanted, 0, "these programs got another verdict, see above");
}

const CANNOT_RUN: &str = "cannot run here";
/// At most one of a hundred programs may be.
const UNSTEADY: &str = "unsteady: the first verdict was another than the next two";

/// Returns what a verdict comes to, and whether it is one that the program wants.
fn outcome(case: &Case, got: &str) -> (&'static str, bool) {
    match (case.wants.as_slice(), got) {
        (_, got) if got.starts_with("cannot run") => (CANNOT_RUN, case.exercise.needs.is_some()),
        ([], "passes") => ("right: passed", true),
        ([], _) => ("right: refused", false),
        (_, "passes") => ("wrong: passed", false),
        (wants, got) if wants.iter().any(|id| id == got) => ("wrong: caught with a fitting name", true),
        _ => ("wrong: caught with another name", false),
    }
}

#[test]
#[ignore = "slow: grades four programs"]
fn what_can_not_be_executed_is_no_program() {
    let run = checker::exercise("run");
    let directory = own_directory("no-program");
    let (source, text) = (workspace::root().join(&run.starter_base), directory.join("text"));
    fs::write(&text, "not even a script\n").unwrap();
    for program in [directory.join("no-such"), directory.clone(), source, text] {
        assert_eq!(checker::verdict(&candidate(&program, &directory), run), "not-a-program", "{program:?}");
    }
}

#[test]
fn each_diagnosis_has_a_wrong_program() {
    let of_mutants = mutants().filter_map(|(_, mutant)| mutant.diagnosis);
    let covered: HashSet<String> = of_mutants.chain(programs().flat_map(|(_, program)| program.wants)).collect();
    for (diagnosis, why) in NOT_COVERED {
        assert!(!covered.contains(&diagnosis.id()), "{} is covered, although {why}", diagnosis.id());
    }
    let excepted: HashSet<String> = NOT_COVERED.iter().map(|(diagnosis, _)| diagnosis.id()).collect();
    let known: HashSet<String> = Diagnosis::ALL.iter().map(|it| it.id()).collect();
    let missing: Vec<_> = known.iter().filter(|id| !covered.contains(*id) && !excepted.contains(*id)).collect();
    assert!(missing.is_empty(), "no wrong program gets {missing:?}");
    let unknown: Vec<_> = covered.difference(&known).collect();
    assert!(unknown.is_empty(), "there are no diagnoses {unknown:?}");
}
