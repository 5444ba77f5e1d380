//! The workshop's commands, as a learner types them. Each test has a workshop of its own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use exercises::Exercise;
use grader::catalog;
use lab::{rootfs, target, workspace};
use serde_json::Value;
use testkit::host::Host;
use testkit::program::write_program;

const GRADER: &str = env!("CARGO_BIN_EXE_grader");

/// Longer than any command takes on a busy machine. A command that waits for input never ends.
const PATIENCE: Duration = Duration::from_secs(300);

/// The directory of a workshop. There is one at a time, because all of them are built in the same target directory.
struct Workshop {
    directory: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Workshop {
    /// Returns a workshop whose directory doesn't exist yet.
    fn none(name: &str) -> Workshop {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        BEFORE.get_or_init(changes);
        let directory = lab::cargo::target_directory().unwrap().join("test-workshops").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        Workshop { directory, _turn: turn }
    }

    /// Returns a workshop as `start` makes it.
    fn new(name: &str) -> Workshop {
        let workshop = Workshop::none(name);
        workshop.says("workshop start");
        workshop
    }

    /// Returns a command without input, for which cargo has no network.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(GRADER);
        command.args(line.split_whitespace()).current_dir(workspace::root());
        command.env(workspace::WORKSHOP, &self.directory).env("CARGO_NET_OFFLINE", "true").env_remove("RUST_BACKTRACE");
        command.env("COLUMNS", "80");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns a command's exit status, stdout and stderr. A command that doesn't end fails the test.
    #[track_caller]
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        self.run_with(line, &[])
    }

    #[track_caller]
    fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        self.end(self.command(line).envs(variables.iter().copied()), line)
    }

    /// The same for words that contain blanks.
    #[track_caller]
    fn run_words(&self, words: &[&str]) -> (Option<i32>, String, String) {
        self.end(self.command("").args(words), &words.join(" "))
    }

    #[track_caller]
    fn end(&self, command: &mut Command, line: &str) -> (Option<i32>, String, String) {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = [lines_of(stdout), lines_of(stderr)];
        let status = end_of(&mut child, line);
        let [stdout, stderr] =
            readers.map(|lines| lines.into_iter().fold(String::new(), |text, line| text + &line + "\n"));
        (status, stdout, stderr)
    }

    /// Returns what a command prints, which must succeed.
    #[track_caller]
    fn says(&self, line: &str) -> String {
        let (status, stdout, stderr) = self.run(line);
        assert_eq!(status, Some(0), "{line}: {stdout}{stderr}");
        stdout
    }

    /// Returns the commands and their output as a terminal would show them.
    #[track_caller]
    fn transcript(&self, lines: &[&str]) -> String {
        let shown = lines.iter().map(|line| format!("$ cargo xtask {line}\n{}", self.run(line).1));
        processes_redacted(&shown.collect::<String>())
    }

    /// Writes a script next to the workshop, as a program to be checked.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let directory = self.directory.with_file_name("scripts");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        write_program(&path, text.as_bytes());
        path
    }

    /// Copies the tests' rootfs, for `--source`.
    fn copy_of_a_rootfs(&self) -> PathBuf {
        let copy = self.path("rootfs-of-mine");
        let rootfs = rootfs::test_directory().unwrap().join("rootfs");
        assert!(Command::new("cp").arg("-a").arg(rootfs).arg(&copy).status().unwrap().success());
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    #[track_caller]
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

/// The changes of tracked files before the first command of a test.
static BEFORE: OnceLock<String> = OnceLock::new();

/// Returns the tracked files that git reports as changed, without snapshots, which a developer may be updating.
fn changes() -> String {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "diff", "HEAD", "--", ".", ":!*.snap"]).current_dir(workspace::root());
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lines_of(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

#[track_caller]
fn end_of(child: &mut Child, line: &str) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("`{line}` does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Replaces PIDs, which depend on what the program started before.
fn processes_redacted(text: &str) -> String {
    let mut parts = text.split("/proc/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        text + "/proc/" + if rest.len() < part.len() { "11" } else { "" } + rest
    })
}

fn exercise(id: &str) -> &'static Exercise {
    catalog::exercise(id).unwrap()
}

fn starter(id: &str) -> String {
    exercise(id).starter(workspace::root()).unwrap()
}

fn solution(id: &str) -> String {
    exercise(id).solution(workspace::root()).unwrap()
}

/// Returns the first program with an edit.
fn first_with(old: &str, new: &str) -> String {
    let first = starter("run");
    assert_eq!(first.matches(old).count(), 1, "{old}");
    first.replace(old, new)
}

#[test]
fn start_makes_a_directory_and_leaves_an_existing_one_alone() {
    let workshop = Workshop::none("start");
    let said = workshop.says("workshop start");
    assert!(said.starts_with("workshop/ is ready.") && said.contains("Next is exercise 0 (run)"), "{said}");
    workshop.write("src/main.rs", "mine\n");
    fs::remove_file(workshop.path("Cargo.lock")).unwrap();
    let said = workshop.says("workshop start");
    assert!(said.starts_with("workshop/ is there already."), "{said}");
    assert_eq!(workshop.read("src/main.rs"), "mine\n");
    assert!(!workshop.path("Cargo.lock").exists() && !workshop.path("kept").exists());
}

#[test]
fn the_first_exercise_is_green_on_arrival_and_the_second_is_red_and_kind() {
    let workshop = Workshop::none("arrival");
    insta::assert_snapshot!("start", workshop.transcript(&["workshop start", "check --seed 7"]));
    let (status, report, _) = workshop.run("check");
    assert_eq!(status, Some(1), "the next one is exercise 1: {report}");
    assert!(report.contains("(isolated-nothing)") && report.contains("This is expected"), "{report}");
    insta::assert_snapshot!("red", workshop.transcript(&["check --seed 7"]));
    insta::assert_snapshot!("status", workshop.transcript(&["status"]));
    // Once the learner has changed the program, a failure is no longer expected.
    workshop.write("src/main.rs", &first_with("\"execve\"", "\"execve(2)\""));
    let report = workshop.run("check").1;
    assert!(report.contains("(isolated-nothing)") && !report.contains("This is expected"), "{report}");
}

#[test]
fn a_failure_says_what_was_seen_and_why() {
    let workshop = Workshop::new("failure");
    let renames = "nix::unistd::sethostname(\"mini-docker\")?;\n    let status";
    workshop.write("src/main.rs", &first_with("let status", renames));
    insta::assert_snapshot!("renamed", workshop.transcript(&["check uts --seed 7"]));
}

#[test]
fn hints_come_one_by_one() {
    let workshop = Workshop::new("hints");
    let count = |text: &str| text.lines().filter(|line| line.starts_with("Hint ")).count();
    let first = workshop.says("hint uts");
    assert!(count(&first) == 0 && first.contains("hostname") && first.contains("again gives hint 1 of 6."), "{first}");
    assert_eq!(count(&workshop.says("hint uts --statement")), 0);
    for number in 1..=6 {
        let hint = workshop.says("hint uts");
        assert!(count(&hint) == 1 && hint.contains(&format!("Hint {number} of 6.")), "{hint}");
    }
    let last = workshop.says("hint uts");
    assert!(count(&last) == 1 && last.contains("There are no more hints. `cargo xtask catch-up pid`"), "{last}");
    assert_eq!(count(&workshop.says("hint pid")), 0, "each exercise has its own count");
    assert_eq!(count(&workshop.says("hint pid --all")), 6);
    assert_eq!(count(&workshop.says("hint pid")), 1, "showing all hints doesn't count as reading them one by one");
}

#[test]
fn every_hint_says_something() {
    let workshop = Workshop::none("every-hint");
    for exercise in catalog::exercises().unwrap() {
        let said = workshop.says(&format!("hint {} --all", exercise.id));
        let mut hints = said.split("\nHint ");
        let statement = hints.next().unwrap();
        assert!(statement.contains(&format!("({})", exercise.id)) && statement.lines().count() > 4, "{statement}");
        let hints: Vec<_> = hints.collect();
        assert!(!hints.is_empty(), "{} has none", exercise.id);
        for hint in &hints {
            assert!(hint.lines().skip(1).any(|line| line.len() > 10), "{}: an empty hint: {hint}", exercise.id);
        }
        if exercise.order > 0 {
            assert!(hints.len() >= 5, "{}: the words, the function and all of it: {}", exercise.id, hints.len());
        }
    }
    assert!(!workshop.directory.exists(), "there is no file to note it in");
}

#[test]
fn reset_keeps_what_it_replaces() {
    let workshop = Workshop::new("reset");
    workshop.write("src/main.rs", "mine\n");
    let said = workshop.says("reset uts");
    assert!(said.contains("workshop/kept/main-1.rs"), "{said}");
    assert_eq!(workshop.read("src/main.rs"), starter("uts"));
    workshop.write("src/main.rs", "mine, too\n");
    let said = workshop.says("reset uts");
    assert!(said.contains("workshop/kept/main-2.rs"), "{said}");
    assert_eq!(
        (workshop.read("kept/main-1.rs"), workshop.read("kept/main-2.rs")),
        ("mine\n".into(), "mine, too\n".into())
    );
    let files = fs::read_dir(workshop.path("src")).unwrap().count();
    assert_eq!(files, 2, "only main.rs and bin");
}

#[test]
fn a_bare_reset_replaces_only_a_program_that_was_begun() {
    let workshop = Workshop::new("bare-reset");
    workshop.write("src/main.rs", "of another exercise\n");
    let (status, stdout, stderr) = workshop.run("reset");
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "xtask: which exercise? the next one is `cargo xtask reset run`\n");
    assert_eq!(workshop.read("src/main.rs"), "of another exercise\n");
    workshop.says("catch-up pid");
    workshop.write("src/main.rs", "of pid\n");
    insta::assert_snapshot!("reset", workshop.transcript(&["reset", "catch-up"]));
    assert_eq!((workshop.read("src/main.rs"), workshop.read("kept/main-2.rs")), (starter("pid"), "of pid\n".into()));
}

#[test]
fn a_misspelt_exercise_gets_the_nearest_one() {
    let workshop = Workshop::none("misspelt");
    for (wanted, message) in [("utss", ": did you mean 'uts'?"), ("quux", "; `cargo xtask status` lists them")] {
        let line = format!("xtask: there is no exercise '{wanted}'{message}\n");
        assert_eq!(workshop.run(&format!("check {wanted}")), (Some(2), String::new(), line));
    }
}

#[test]
fn diff_shows_mine_beside_the_solution() {
    let workshop = Workshop::new("diff");
    let said = workshop.says("diff uts");
    assert!(said.starts_with("--- workshop/src/main.rs\n+++ the solution of uts\n@@"), "{said}");
    workshop.write("src/main.rs", &solution("uts"));
    assert_eq!(workshop.says("diff uts"), "Your program and the solution are the same.\n");
}

#[test]
fn diff_without_a_name_does_not_give_the_next_solution_away() {
    let workshop = Workshop::new("diff-at");
    workshop.says("check run");
    let (status, stdout, stderr) = workshop.run("diff");
    assert_eq!((status, stdout.as_str()), (Some(0), "Your program and the solution are the same.\n"));
    assert!(stderr.contains("exercise 0 (run)") && stderr.contains("cargo xtask hint uts --all"), "{stderr}");
    // After `reset uts`, a bare `diff` is about uts.
    workshop.says("reset uts");
    let (_, stdout, stderr) = workshop.run("diff");
    assert!(stdout.contains("+++ the solution of uts") && stderr.is_empty(), "{stdout}{stderr}");
}

/// If the kernel refuses a throwaway host, the program isn't at fault.
#[test]
fn a_machine_that_can_not_tell_says_so() {
    let workshop = Workshop::none("cannot");
    // A limit that counts in this user namespace, and forbids the next one in it.
    let script = format!(
        "echo 0 >/proc/sys/user/max_uts_namespaces; '{GRADER}' check uts --cmd /bin/true; echo $?; \
         '{GRADER}' check uts --cmd /bin/true --json"
    );
    let mut shell = Host::new().as_user().command("env");
    for name in ["HOME", "PATH"] {
        shell.arg(format!("{name}={}", env::var(name).unwrap_or_default()));
    }
    shell.arg(format!("{}={}", workspace::WORKSHOP, workshop.directory.display()));
    let Output { stdout, stderr, .. } = shell.args(["sh", "-c", &script]).output().unwrap();
    let (said, why) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let (report, json) = said.split_once("\n77\n").unwrap_or_else(|| panic!("{said}{why}"));
    assert!(report.replace('\n', " ").contains("unshare(CLONE_NEWUTS): ENOSPC"), "{report}");
    assert!(json.contains("\"verdict\": \"cannot\""), "{json}");
    assert!(is_json(json), "{json}");
}

#[test]
fn json_is_json() {
    let workshop = Workshop::new("json");
    let program = workshop.script("plain.sh", OTHER);
    let (status, json, _) = workshop.run(&format!("check uts --json --cmd {}", program.display()));
    assert_eq!(status, Some(1));
    assert!(is_json(&json), "{json}");
    for part in ["\"exercise\": \"uts\"", "\"verdict\": \"fail\"", "\"diagnosis\": \"isolated-nothing\"", "\"none\""] {
        assert!(json.contains(part), "no {part} in {json}");
    }
    let json = workshop.says(&format!("check run --json --cmd {}", program.display()));
    assert!(is_json(&json) && json.contains("\"verdict\": \"pass\""), "{json}");
}

#[test]
fn every_diagnosis_names_a_section_of_the_book() {
    for exercises::Diagnosis { id, section, .. } in catalog::diagnoses().unwrap() {
        let (chapter, heading) = section.split_once('#').unwrap();
        let text = fs::read_to_string(workspace::root().join("book/text").join(chapter));
        let text = text.unwrap_or_else(|error| panic!("{id}: {chapter}: {error}"));
        let is_it = |line: &str| line.starts_with('#') && line.ends_with(&format!(" {{#{heading}}}"));
        assert!(text.lines().any(is_it), "{id}: {chapter} has no heading {{#{heading}}}");
    }
}

/// Returns the only JSON value of a text.
#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// True if a text is one value of JSON.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// A program that is named by `--cmd`, and fails exercise 1.
const OTHER: &str = "#!/bin/sh\nshift\nexec \"$@\"\n";

#[test]
fn where_nothing_can_be_written_the_workshop_can_be_elsewhere() {
    let workshop = Workshop::none("nowhere");
    // Not even root can make a directory there.
    let nowhere = [(workspace::WORKSHOP, "/sys/workshop")];
    let (status, _, why) = workshop.run_with("workshop start --lang python", &nowhere);
    assert!(status == Some(1) && why.contains("set MINI_DOCKER_WORKSHOP to a directory of your own"), "{why}");
}

#[test]
fn a_source_that_does_not_compile_fails() {
    let workshop = Workshop::none("broken");
    workshop.says("workshop start --lang c");
    workshop.write("mine.c", "int main(void) { return x; }\n");
    let (status, report, why) = workshop.run("check");
    assert!(status == Some(1) && report.is_empty() && why.contains("mine.c:1"), "{report}{why}");
}

#[test]
fn a_program_in_another_language_gets_the_solution_in_rust() {
    let workshop = Workshop::new("perl");
    let other = workshop.script("mine", "#!/usr/bin/env perl\nshift; exec { $ARGV[0] } @ARGV\n");
    assert!(workshop.says(&format!("check run --cmd {}", other.display())).contains("All checks passed"));
    assert!(workshop.says("diff uts").contains("is in Rust"));
    assert!(workshop.says("hint uts --all").contains("CloneFlags::CLONE_NEWUTS"));
    let (status, _, why) = workshop.run("reset uts");
    assert!(status == Some(1) && why.contains("there is no program for exercise uts in the language of"), "{why}");
}

/// Writes the solution of an exercise in the shell, as a program for `--cmd`.
fn in_shell(workshop: &Workshop, name: &str, id: &str) -> PathBuf {
    let all = catalog::exercises().unwrap();
    let source = exercise(id).solution_in(workspace::root(), all, exercises::Language::Shell).unwrap().unwrap();
    workshop.script(name, &source)
}

#[test]
fn a_survey_records_nothing_and_a_failed_check_records_what_passed() {
    let workshop = Workshop::new("survey");
    let program = in_shell(&workshop, "surveyed.sh", "chroot");
    let before = fs::read(workshop.path("progress.txt")).ok();
    let line = format!("check proc --cmd {}", program.display());
    assert_eq!(workshop.run(&format!("{line} --no-record")).0, Some(1));
    assert_eq!(fs::read(workshop.path("progress.txt")).ok(), before);
    assert!(workshop.says("status").starts_with("Program: workshop/src/main.rs\n"));
    assert_eq!(workshop.run(&line).0, Some(1));
    assert!(workshop.says("status").contains("The container, 145 minutes: 4 of 5 passed"));
    let progress = workshop.read("progress.txt");
    assert!(progress.contains("\nfailed proc proc-not-mounted\n"), "{progress}");
    let class = parse(&workshop.says(&format!("class --json {}", workshop.directory.display())));
    let learner = &class["learners"][0];
    assert_eq!((&learner["own"], &learner["at"]), (&4.into(), &"proc".into()), "{class}");
    assert_eq!(learner["diagnosis"], "proc-not-mounted", "{class}");
}

#[test]
fn a_class_is_sorted_by_who_needs_help_and_a_missing_path_is_an_error() {
    let workshop = Workshop::none("class");
    for (learner, progress) in [
        ("anna", "failed uts isolated-nothing\n"),
        ("bo", "hints pid 3\nfailed pid no-pid-namespace\n"),
        ("cleo", "hints uts 9\n"),
        ("dan", "failed uts isolated-nothing\n"),
    ] {
        fs::create_dir_all(workshop.path(learner)).unwrap();
        workshop.write(&format!("{learner}/progress.txt"), progress);
    }
    let directory = workshop.directory.display().to_string();
    let shown = workshop.says(&format!("class {directory}"));
    let first: Vec<&str> = shown.lines().skip(1).take(4).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(first, ["bo", "anna", "dan", "cleo"], "{shown}");
    assert!(shown.contains("\n2 of 4 have `isolated-nothing`: step01#"), "{shown}");
    // Not even root can read the first, and the second is longer than any progress.
    for learner in ["closed", "long"] {
        fs::create_dir_all(workshop.path(learner)).unwrap();
    }
    std::os::unix::fs::symlink("/proc/self/mem", workshop.path("closed/progress.txt")).unwrap();
    let long = format!("failed uts {}\n", "x".repeat(100_000)) + &"x".repeat(2 << 20) + "\nskipped pid 1\n";
    workshop.write("long/progress.txt", &long);
    let (status, shown, why) = workshop.run(&format!("class {directory} --csv"));
    assert!(status == Some(0) && shown.contains("\ndan,") && !shown.contains("closed"), "{shown}{why}");
    assert_eq!(why, "xtask: left out, because the files can't be read: closed\n");
    let long = format!("\nlong,main.rs,0,0,0,uts,{},0,", "x".repeat(40));
    assert!(shown.replace("\r\n", "\n").contains(&long), "{shown}");
    let (status, _, why) = workshop.run(&format!("class {directory} {directory}/nobody"));
    assert!(status == Some(2) && why.contains("there is no "), "{why}");
    let (status, _, why) = workshop.run(&format!("class {directory}/anna/progress.txt/x"));
    assert!(status == Some(2), "{why}");
}

/// A server, which ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_class_is_served_as_a_page_and_nothing_else_is() {
    let workshop = Workshop::none("served");
    for learner in ["anna", "bo", "<b>"] {
        fs::create_dir_all(workshop.path(learner)).unwrap();
        workshop.write(&format!("{learner}/progress.txt"), "failed uts isolated-nothing\n");
    }
    let line = format!("class {} --serve", workshop.directory.display());
    let mut server = Server(workshop.command(&format!("{line} 127.0.0.1:0")).spawn().unwrap());
    let said = lines_of(server.0.stderr.take().unwrap()).recv_timeout(PATIENCE).unwrap();
    let address = said.strip_prefix("xtask: http://").and_then(|it| it.split_once('/')).unwrap().0.to_owned();
    let ask_as = |host: &str, request: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let ask = |request: &str| ask_as("localhost", request);
    let page = ask("GET /");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("3 of 3 have <code>isolated-nothing</code>"), "{page}");
    assert!(page.contains(">anna<") && page.contains(">&lt;b&gt;<") && !page.contains("<b>"), "{page}");
    assert!(page.contains("\r\nContent-Security-Policy: default-src 'none'; script-src 'nonce-"), "{page}");
    assert!(!page.contains("src=\"") && !page.contains("href=\"http"), "{page}");
    for host in [&address, "localhost:3001", "[::1]:3001", "127.0.0.1", "[::1]"] {
        assert!(ask_as(host, "GET /").starts_with("HTTP/1.1 200 "), "{host}");
    }
    for host in ["rebound.example", "localhost.example:3001", "127.0.0.1.example"] {
        let answer = ask_as(host, "GET /");
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("anna"), "{host}: {answer}");
    }
    workshop.write("bo/progress.txt", "hints run 1\n");
    assert!(ask("GET /?").contains("2 of 3 have "));
    assert!(ask("HEAD /").trim_end().ends_with(|c: char| c.is_ascii_digit()), "{}", ask("HEAD /"));
    for (request, status) in [
        ("GET /anna/progress.txt", 404),
        ("GET /../../etc/passwd", 404),
        ("GET //", 404),
        ("POST /", 405),
        ("DELETE /", 405),
        ("nonsense /", 405),
    ] {
        let answer = ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && !answer.contains("anna"), "{request}: {answer}");
    }
    fs::remove_dir_all(workshop.path("")).unwrap();
    let answer = ask("GET /");
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("there is no "), "{answer}");

    let (status, _, why) = workshop.run(&line);
    assert!(status == Some(2) && why.contains("there is no "), "{why}");
    fs::create_dir_all(workshop.path("anna")).unwrap();
    workshop.write("anna/progress.txt", "");
    let (status, stdout, why) = workshop.run(&format!("{line} {address}"));
    assert!(status == Some(1) && stdout.is_empty() && why.lines().count() == 1, "{why}");
    assert!(why.starts_with(&format!("xtask: can't listen on {address}: Address already in use")), "{why}");
    let (status, _, why) = workshop.run("class --serve /home");
    assert!(status == Some(2) && why.lines().count() == 1 && why.contains("name directories before it"), "{why}");
}

#[test]
fn all_goes_on_after_a_failure() {
    let workshop = Workshop::new("all-of-one");
    let lost = workshop.script(
        "lost.sh",
        "#!/bin/sh\nshift\nunshare --uts sh -c 'hostname mini-docker; exec \"$@\"' sh \"$@\"\nexit 3\n",
    );
    let line = format!("check uts --cmd {}", lost.display());
    let (status, report, _) = workshop.run(&line);
    assert!(status == Some(1) && !report.contains("Exercise 1 (uts)"), "{report}");
    let (status, report, _) = workshop.run(&format!("{line} --all"));
    assert_eq!(status, Some(1));
    assert!(report.contains("FAIL  its exit status") && report.contains("(status-lost)"), "{report}");
    assert!(report.contains("pass  its hostname is mini-docker") && !report.contains("not checked"), "{report}");
    assert!(report.replace('\n', " ").contains("1 of 2 exercises pass. Of those, 0 count as passed"), "{report}");
    assert!(workshop.says("status").contains("\n0 of "));
}

#[test]
fn json_is_one_object_whatever_goes_wrong() {
    let workshop = Workshop::none("json-errors");
    let error = |line: &str, wanted_status: i32, part: &str| {
        let (status, json, why) = workshop.run(line);
        let report = parse(&json);
        assert_eq!((status, &report["verdict"]), (Some(wanted_status), &"error".into()), "{line}: {json}{why}");
        assert!(report["error"].as_str().unwrap().contains(part), "{line}: {json}");
    };
    error("check --json", 2, "workshop start");
    error("check no-such --json", 2, "no exercise 'no-such'");
    error("check --json --no-such", 2, "--no-such");
    error("check uts --json --cmd /no/such", 2, "no program /no/such");
    workshop.says("workshop start");
    workshop.write("src/main.rs", "fn main() { it_does_not_compile }\n");
    error("check uts --json", 1, "does not compile");
    fs::remove_file(workshop.path("src/main.rs")).unwrap();
    error("check uts --json", 2, "`cargo xtask reset uts` makes it again");
    let status = parse(&workshop.says("status --json"));
    assert_eq!((&status["program"], &status["next"]), (&"workshop/src/main.rs".into(), &"run".into()));
    assert_eq!(status["exercises"].as_array().unwrap().len(), catalog::exercises().unwrap().len());
}

#[test]
fn what_a_program_writes_is_shown_and_not_obeyed() {
    let workshop = Workshop::none("escapes");
    let bytes = r"\033[2J\233\302\233K\a\r\b\342\200\256";
    let hostile = workshop.script("hostile.sh", &format!("#!/bin/sh\nprintf '{bytes}' >&2\nexit 9\n"));
    let line = format!("check run --cmd {}", hostile.display());
    for line in [line.clone(), line + " --json"] {
        let (_, stdout, stderr) = workshop.run(&line);
        let is_obeyed = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!(stdout.clone() + &stderr).contains(is_obeyed), "{stdout:?}{stderr:?}");
        assert!(stdout.contains("202e"), "{stdout}");
    }
}

#[test]
fn a_garbled_progress_file_is_kept_and_reported() {
    let workshop = Workshop::new("garbled");
    let garbled = b"\xff\xfe passed uts\n";
    fs::write(workshop.path("progress.txt"), garbled).unwrap();
    let (status, stdout, stderr) = workshop.run("hint uts");
    assert!(status == Some(0) && stderr.contains("it is kept as workshop/progress.txt.broken"), "{stdout}{stderr}");
    assert_eq!(fs::read(workshop.path("progress.txt.broken")).unwrap(), garbled);
    let (_, stdout, stderr) = workshop.run("status");
    assert!(stdout.contains("\n0 of ") && stderr.contains("has a line that this version doesn't know"), "{stderr}");
}

#[test]
fn commands_at_the_same_time_lose_no_line() {
    let workshop = Workshop::new("at-once");
    let exercises = catalog::exercises().unwrap();
    thread::scope(|scope| {
        exercises.iter().for_each(|it| drop(scope.spawn(|| workshop.says(&format!("hint {}", it.id)))));
    });
    let progress = workshop.read("progress.txt");
    let noted = progress.lines().filter(|line| line.starts_with("hints ")).count();
    assert_eq!(noted, exercises.len(), "{progress}");
}

#[test]
fn reset_ends_if_it_can_keep_no_copy() {
    let workshop = Workshop::new("kept");
    // Nobody can make a file there, not even root.
    std::os::unix::fs::symlink("/proc/self", workshop.path("kept")).unwrap();
    let before = workshop.read("src/main.rs");
    let (status, _, why) = workshop.run("reset uts");
    assert!(status == Some(1) && why.contains("kept/main-1.rs; your program was not changed"), "{why}");
    assert_eq!(workshop.read("src/main.rs"), before);
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn each_program_has_progress_of_its_own_and_the_last_one_is_remembered() {
        let workshop = Workshop::new("programs");
        let other = workshop.script("my prog.sh", OTHER);
        let quoted = format!("Program: '{}'\n", other.display());
        let (status, report, _) = workshop.run_words(&["check", "uts", "--cmd", other.to_str().unwrap()]);
        assert!(status == Some(1) && report.starts_with(&quoted), "{report}");
        // Exercise 0 passed in the same check. The Rust program was not checked.
        let status = workshop.says("status");
        assert!(status.starts_with(&quoted) && status.contains("\n1 of "), "{status}");
        assert!(workshop.says("hint").starts_with(&quoted));
        assert!(workshop.run("check").1.starts_with(&quoted));
        assert!(workshop.says("diff uts").contains("+exec unshare --uts"));
        assert!(workshop.says("reset uts").contains("\n    cp 'workshop/kept/my prog-1.sh' "));
        assert_eq!(fs::read_to_string(workshop.path("kept/my prog-1.sh")).unwrap(), OTHER);

        let report = workshop.says("check run --cmd mine");
        assert!(report.starts_with("Program: workshop/src/main.rs\n"), "{report}");
        assert!(workshop.says("status").starts_with("Program: workshop/src/main.rs\n"));
        assert!(workshop.says("reset uts").contains("kept/main-1.rs"));

        workshop.run_words(&["check", "uts", "--cmd", other.to_str().unwrap()]);
        fs::remove_file(&other).unwrap();
        let (status, report, why) = workshop.run("check");
        assert!(
            status == Some(2) && report.is_empty() && why.contains("any more") && why.contains("--cmd mine"),
            "{why}"
        );
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn what_passed_after_its_solution_was_shown_is_kept_apart() {
        let workshop = Workshop::new("after-the-solution");
        workshop.says("diff uts --solution");
        let program = in_shell(&workshop, "own.sh", "uts");
        workshop.says(&format!("check run --cmd {}", program.display()));
        // Each program has its own.
        workshop.says("check uts");
        assert!(!workshop.says("status").contains("shown"));
        let other = workshop.script("again.sh", &fs::read_to_string(&program).unwrap());
        workshop.says(&format!("check run --cmd {}", other.display()));
        workshop.says("hint uts --all");
        workshop.says("check uts");
        let status = workshop.says("status");
        assert!(status.contains("shown    Its own hostname") && status.contains("2 of 5 passed"), "{status}");
        let class = workshop.says(&format!("class --csv {}", workshop.directory.display()));
        assert!(class.contains("\nafter-the-solution,again.sh,1,1,0,pid,,"), "{class}");
    }

    /// Each program tries something that a hand-in must not be able to do, and writes on stderr whether it could, which the report
    /// shows. With the learner's own rights it can, which is the control.
    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn a_hand_in_has_no_access_to_other_files_and_fills_neither_disk_nor_memory() {
        let workshop = Workshop::none("hand-ins");
        let (hand_ins, secret) = (workshop.path("hand-ins"), workshop.path("teachers-file"));
        fs::create_dir_all(&hand_ins).unwrap();
        fs::write(&secret, "").unwrap();
        let right = fs::read_to_string(in_shell(&workshop, "right.sh", "proc")).unwrap();
        fs::write(hand_ins.join("right.sh"), right).unwrap();
        let attacks = [
            ("reads-the-teachers", format!("cat {}", secret.display())),
            ("reads-anothers", format!("cat {}/right.sh || cat \"${{0%/*}}/right.sh\"", hand_ins.display())),
            ("removes", format!("rm {}", secret.display())),
            ("changes-itself", "echo >>\"$0\"".to_owned()),
            // A little less than the limit is allowed.
            ("fills-tmp", "! fallocate -l 100M /tmp/big || fallocate -l 300M /tmp/big".to_owned()),
            ("fills-its-directory", "! fallocate -l 300M big || fallocate -l 600M big".to_owned()),
            ("fills-memory", "! dd if=/dev/null bs=900M || dd if=/dev/null bs=1100M".to_owned()),
        ];
        let tries = |what: &str| {
            let attempt =
                format!("if {{ {what}; }} >/dev/null 2>&1; then echo succeeded >&2; else echo refused >&2; fi");
            format!("#!/bin/bash\nset -o pipefail\n{attempt}\nexit 3\n")
        };
        for (name, what) in &attacks {
            fs::write(hand_ins.join(name).with_extension("sh"), tries(what)).unwrap();
        }
        let stays = "#!/bin/sh\nsetsid sleep 987654 <&- >&- 2>&- &\nshift\nexec \"$@\"\n";
        fs::write(hand_ins.join("stays.sh"), stays).unwrap();
        // What a grader that was killed has left.
        let left = lab::cargo::target_directory().unwrap().join("grade/0/room");
        fs::create_dir_all(&left).unwrap();
        let report = parse(&workshop.says(&format!("grade --json --exercise run {}", hand_ins.display())));
        assert!(!left.exists());
        let all = report["hand-ins"].as_array().unwrap();
        let of = |name: &str| all.iter().find(|it| it["hand-in"] == format!("{name}.sh")).unwrap();
        assert_eq!(of("right")["passed"], serde_json::json!(["run"]), "{report}");
        for (name, _) in &attacks {
            let seen = of(name)["seen"].as_str().unwrap_or_default();
            assert!(seen.contains("refused") && !seen.contains("succeeded"), "{name}: {report}");
        }
        assert_eq!(all.len(), attacks.len() + 2, "{report}");
        let is_left = |line: Vec<u8>| line.starts_with(b"sleep\x00987654");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        assert!(!processes.filter_map(|it| fs::read(it.path().join("cmdline")).ok()).any(is_left), "a process is left");
        assert!(secret.exists());
        let reads = workshop.script("reads.sh", &tries(&attacks[0].1));
        let report = workshop.run(&format!("check run --no-record --privilege user --cmd {}", reads.display())).1;
        assert!(report.contains("succeeded"), "{report}");
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn hand_ins_are_graded_in_each_language_and_a_missing_one_is_an_error() {
        let workshop = Workshop::none("graded");
        let all = catalog::exercises().unwrap();
        for language in exercises::Language::ALL.into_iter().filter(|it| *it != exercises::Language::Rust) {
            let source = exercise("uts").solution_in(workspace::root(), all, language).unwrap().unwrap();
            let directory = workshop.path(language.extension());
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("mine").with_extension(language.extension()), source).unwrap();
        }
        workshop.write("broken.c", "int main(void) { return x; }\n");
        fs::create_dir(workshop.path("nothing")).unwrap();
        std::os::unix::fs::symlink("sh", workshop.path("link")).unwrap();
        let directory = workshop.directory.display().to_string();
        // Among its temporary files, a machine may let no one execute a file.
        let (_, table, why) =
            workshop.run_with(&format!("grade --csv --exercise uts {directory}"), &[("TMPDIR", "/no/such")]);
        assert_eq!(why, "");
        for extension in ["py", "go", "c", "sh"] {
            assert!(table.contains(&format!("\n{extension},mine.{extension},2 of 2,,,")), "{table}");
        }
        assert!(table.contains("\nbroken.c,,not graded,,does not compile: /hand-in/broken.c:1:"), "{table}");
        assert!(table.contains("\nnothing,,not graded,,\"there is no program in Python"), "{table}");
        assert!(table.contains("\nlink,,not graded,,\"it is a link"), "{table}");
        let (status, _, why) = workshop.run(&format!("grade {directory}/nobody"));
        assert!(status == Some(2) && why.contains("there is no "), "{why}");
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn each_language_has_a_first_program_and_hints_and_solutions_in_it() {
        for (name, solution) in [
            ("python", "call(\"unshare\", CLONE_NEWUTS)"),
            ("go", "syscall.Unshare(syscall.CLONE_NEWUTS)"),
            ("c", "unshare(CLONE_NEWUTS)"),
            ("shell", "unshare --uts"),
        ] {
            let workshop = Workshop::none(name);
            let started = workshop.says(&format!("workshop start --lang {name}"));
            let program =
                started.split_whitespace().find(|word| word.contains("/mine.")).unwrap().trim_end_matches('.');
            let heading = format!("Program: {program}\n");
            let report = workshop.says("check");
            assert!(report.starts_with(&heading) && report.contains("Next is exercise 1 (uts)"), "{report}");
            let (status, report, _) = workshop.run("check");
            assert!(status == Some(1) && report.contains("you haven't changed the program yet"), "{report}");
            let hints = workshop.says("hint uts --all");
            assert!(hints.contains(solution) && !hints.contains("nix") && !hints.contains("Rust"), "{hints}");
            let difference = workshop.says("diff uts");
            assert!(
                difference.starts_with(&format!("--- {program}\n")) && difference.contains(solution),
                "{difference}"
            );
            let caught_up = workshop.says("catch-up chroot");
            assert!(caught_up.contains("kept/mine-1.") && caught_up.contains(program), "{caught_up}");
            let report = workshop.says("check pid");
            assert!(report.contains("(pid) still counts as skipped"), "{report}");
        }
        let workshop = Workshop::none("no-language");
        let (status, _, why) = workshop.run("workshop start --lang cobol");
        assert!(
            status == Some(2) && why.contains("there is no first program in 'cobol', but in rust, python"),
            "{why}"
        );
        assert!(!workshop.directory.exists());
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn a_bare_all_checks_every_exercise_also_the_attack() {
        let workshop = Workshop::new("all");
        workshop.write("src/main.rs", &solution("proc"));
        let (status, json, _) = workshop.run("check --all --json");
        let report = parse(&json);
        assert_eq!(
            (status, &report["exercise"], &report["verdict"]),
            (Some(1), &Value::Null, &"fail".into()),
            "{json}"
        );
        for exercise in catalog::exercises().unwrap() {
            let checks = report["checks"].as_array().unwrap().iter().filter(|it| it["exercise"] == *exercise.id);
            let verdicts: Vec<_> = checks.map(|check| check["verdict"].as_str().unwrap()).collect();
            assert_eq!(verdicts.len(), exercise.checks.len(), "{}", exercise.id);
            assert!(!verdicts.contains(&"none"), "{}: {verdicts:?}", exercise.id);
            assert!(exercise.order > 4 || verdicts.iter().all(|it| *it == "pass"), "{}: {verdicts:?}", exercise.id);
        }
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn what_catch_up_solved_is_skipped_until_it_is_reset() {
        let workshop = Workshop::new("skipped");
        workshop.says("catch-up pivot");
        for id in ["proc", "status", "reap", "die"] {
            let report = workshop.says(&format!("check {id}"));
            assert!(report.contains(&format!("({id}) still counts as skipped")), "{report}");
        }
        let status = workshop.says("status");
        assert!(status.contains("\n1 of ") && status.contains("uts        30 min  skipped"), "{status}");
        workshop.says("reset die");
        workshop.write("src/main.rs", &solution("die"));
        assert!(!workshop.says("check").contains("skipped"));
        assert!(workshop.says("status").contains("die        20 min  passed"));
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn what_was_reset_is_what_is_meant_though_it_was_passed_before() {
        let workshop = Workshop::new("begun");
        workshop.write("src/main.rs", &solution("proc"));
        workshop.says("check reap");
        workshop.says("reset reap");
        // The starter happens to pass 7 as well, but wasn't checked by it.
        let (status, report, _) = workshop.run("check");
        assert!(status == Some(1) && report.contains("Exercise 6 (reap)"), "{report}");
        assert!(workshop.says("hint").contains("(reap)") && !workshop.read("progress.txt").contains("passed die"));
        workshop.write("src/main.rs", &solution("reap"));
        assert!(workshop.says("check").contains("(reap)"));
        assert!(workshop.says("hint").contains("(die)"));
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn to_catch_up_is_to_go_on_from_the_solution_before() {
        let workshop = Workshop::new("catch-up");
        workshop.write("src/main.rs", "mine\n");
        let said = workshop.says("catch-up pid");
        assert!(said.contains("everything before exercise 2 (pid)") && said.contains("kept/main-1.rs"), "{said}");
        workshop.says("check uts");
        let (status, report, _) = workshop.run("check pid");
        assert!(status == Some(1) && report.contains("This is expected"), "{report}");
        // From then on, a command without a name is about that exercise.
        workshop.says("catch-up reap");
        let (status, report, _) = workshop.run("check");
        assert!(status == Some(1) && report.contains("Exercise 6 (reap)"), "{report}");
        assert!(workshop.says("hint").contains("(reap)"));
        assert!(workshop.says("catch-up").contains("exercise 6 (reap)"));
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn many_may_check_by_a_source_of_their_own_at_once() {
        let workshop = Workshop::new("room-at-once");
        let source = workshop.copy_of_a_rootfs();
        workshop.write("src/main.rs", &solution("chroot"));
        workshop.says("check chroot");
        let program = workshop.directory.with_file_name("target").join("debug/mine");
        let line = format!("check chroot --cmd {} --source {}", program.display(), source.display());
        thread::scope(|scope| {
            let checks: Vec<_> = (0..8).map(|_| scope.spawn(|| workshop.says(&line))).collect();
            checks.into_iter().for_each(|check| assert!(check.join().unwrap().contains("All checks passed.")));
        });
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn what_a_program_broke_in_the_rootfs_is_mended_for_the_next() {
        let workshop = Workshop::new("room");
        let source = workshop.copy_of_a_rootfs();
        let check = format!("check run --source {}", source.display());
        workshop.says(&check);
        let made = target::test_directory("check-path").unwrap().join("rootfs");
        let number = |path: &Path| fs::metadata(path).unwrap().ino();
        let before = number(&made);
        workshop.says(&check);
        assert_eq!(number(&made), before, "it was made twice");
        fs::remove_dir(made.join("mnt")).unwrap();
        workshop.says(&check);
        assert!(made.join("mnt").is_dir());
        // Its source has changed.
        fs::write(source.join("etc/motd"), "new").unwrap();
        workshop.says(&check);
        assert_eq!(fs::read_to_string(made.join("etc/motd")).unwrap(), "new");
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn the_workshop_is_built_without_a_network_anywhere_in_it_and_changes_no_tracked_file() {
        let workshop = Workshop::new("offline");
        workshop.says("check run");
        workshop.says("catch-up pid");
        workshop.says("check uts");
        // As a learner builds it by hand.
        let mut cargo = Command::new(lab::cargo::program());
        cargo.args(["build", "--quiet", "--offline"]).current_dir(&workshop.directory);
        assert!(cargo.status().unwrap().success());
        // The commands work in any directory.
        let mut xtask = Command::new(lab::cargo::program());
        xtask.args(["xtask", "help"]).current_dir(workshop.path("src")).env("CARGO_TERM_QUIET", "true");
        assert!(xtask.output().unwrap().status.success());
        assert_eq!(changes(), *BEFORE.get().unwrap(), "the tests before this one must not change a file, either");
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn watching_ends_with_the_input() {
        let workshop = Workshop::new("watch");
        let (status, report, _) = workshop.run("check uts --watch");
        assert_eq!((status, report.matches("(isolated-nothing)").count()), (Some(1), 1), "{report}");

        let mut child = workshop.command("check uts --watch").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let wait_for = |part: &str| {
            while let Ok(line) = lines.recv_timeout(PATIENCE) {
                if line.contains(part) {
                    return;
                }
            }
            panic!("it never said {part}");
        };
        wait_for("This is expected");
        // In two writes, as some editors do.
        let mut file = fs::File::create(workshop.path("src/main.rs")).unwrap();
        thread::sleep(Duration::from_millis(50));
        file.write_all(solution("uts").as_bytes()).unwrap();
        drop(file);
        wait_for("All checks passed");
        drop(input);
        assert_eq!(end_of(&mut child, "check uts --watch"), Some(0));
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn the_exit_status_tells_the_four_cases_apart() {
        let workshop = Workshop::none("exit-status");
        let (status, _, why) = workshop.run("check");
        assert!(status == Some(2) && why.contains("`cargo xtask workshop start` makes it"), "{status:?} {why}");
        assert_eq!(workshop.run("check no-such-exercise").0, Some(2));
        let (status, report, _) = workshop.run("check run --cmd /bin/true");
        assert!(status == Some(1) && report.contains("(never-ran)"), "a program needs no workshop: {report}");
        let missing = "xtask: there is no program /no/such/program\n";
        assert_eq!(workshop.run("check run --cmd /no/such/program"), (Some(2), String::new(), missing.into()));

        workshop.says("workshop start");
        assert_eq!(workshop.run("check run").0, Some(0));
        assert_eq!(workshop.run("check uts").0, Some(1));
        workshop.write("src/main.rs", "fn main() { it_does_not_compile }\n");
        let (status, report, why) = workshop.run("check run");
        assert!(status == Some(1) && report.is_empty() && why.contains("it_does_not_compile"), "{report}{why}");
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn an_attack_is_a_program_of_its_own() {
        let workshop = Workshop::new("attack");
        workshop.write("src/main.rs", "mine\n");
        let (status, report, _) = workshop.run("check escape");
        assert!(status == Some(1) && report.contains("(no-escape)"), "{report}");
        assert!(report.contains("workshop/src/bin/escape.rs, and check again"), "{report}");
        workshop.write("src/bin/escape.rs", &solution("escape"));
        workshop.says("check escape");
        assert_eq!(workshop.says("diff escape"), "Your program and the solution are the same.\n");
        assert!(workshop.says("reset escape").contains("kept/escape-1.rs"));
        assert_eq!(workshop.read("src/bin/escape.rs"), starter("escape"));
        assert_eq!(workshop.read("src/main.rs"), "mine\n");
        // From a workshop that is older than the exercise.
        fs::remove_file(workshop.path("src/bin/escape.rs")).unwrap();
        workshop.says("workshop start");
        assert!(workshop.path("src/bin/escape.rs").exists());
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn what_was_passed_is_kept_over_updates() {
        let workshop = Workshop::new("status");
        workshop.says("check run");
        let progress = workshop.read("progress.txt");
        assert!(progress.lines().any(|line| line.starts_with("passed run ")), "{progress}");
        assert!(workshop.says("status").contains("1 of"), "passed");

        // A newer version's line, an exercise that no longer exists, and one that asked something else.
        let other = "passed run 0123456789abcdef\npassed gone 0123456789abcdef\nbadge 3 of 4 in gold\n\u{7}\n";
        workshop.write("progress.txt", other);
        let status = workshop.says("status");
        let row = status.lines().find(|line| line.contains(" run ")).unwrap();
        assert!(
            row.contains(" changed ") && status.contains("\n0 of ") && status.contains("since you passed it"),
            "{status}"
        );
        workshop.says("check run");
        let progress = workshop.read("progress.txt");
        for line in ["passed gone 0123456789abcdef", "badge 3 of 4 in gold", "\u{7}"] {
            assert!(progress.lines().any(|it| it == line), "{line:?} is lost: {progress}");
        }
        assert!(workshop.says("status").contains("\n1 of "), "passed again");

        fs::write(workshop.path("progress.txt"), b"\xff\xfe passed uts\n").unwrap();
        assert!(workshop.says("status").contains("\n0 of "));
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn no_command_waits_for_somebody_to_type() {
        let workshop = Workshop::none("nobody");
        for made in [false, true] {
            for line in [
                "workshop",
                "check",
                "check --watch",
                "hint",
                "diff",
                "reset",
                "catch-up uts",
                "status",
                "workshop start",
            ] {
                // `run` fails if it doesn't end.
                let (status, stdout, stderr) = workshop.run(line);
                assert!(status.is_some_and(|it| it <= 2), "{line}: {status:?} {stdout}{stderr}");
                assert!(!(stdout + &stderr).contains("panicked"), "{line}");
                assert!(made || line == "workshop start" || !workshop.directory.exists(), "`{line}` made a directory");
            }
        }
    }

    #[test]
    #[ignore = "slow: builds or checks many times"]
    fn no_line_is_wider_than_the_terminal() {
        let workshop = Workshop::new("width");
        let ids = catalog::exercises().unwrap().iter().map(|it| format!("hint {} --all", it.id));
        let helps = ["", "check ", "compare ", "hint ", "diff ", "reset ", "catch-up ", "status ", "workshop "];
        let mut lines: Vec<String> = ids.chain(helps.map(|it| format!("{it}--help"))).collect();
        lines.extend(
            ["workshop start", "status", "check run", "diff", "check uts", "reset uts", "hint"].map(str::to_owned),
        );
        for (line, width) in lines.iter().flat_map(|line| [(line, 80), (line, 60)]) {
            let (_, stdout, stderr) = workshop.run_with(line, &[("COLUMNS", &width.to_string())]);
            // Diffs and indented code are as wide as the program, and a code span is never broken.
            let may_be_wide = |it: &str| {
                let item = it.trim_start_matches(['-', ' ']);
                it.starts_with("    ") || item.starts_with('`') && item.matches('`').count() <= 2
            };
            let wide = |it: &&str| it.chars().count() > width && !may_be_wide(it);
            let wide: Vec<&str> = stdout.lines().chain(stderr.lines()).filter(wide).collect();
            assert!(wide.is_empty(), "{line}: {wide:#?}");
        }
    }
}
