//! The program itself: its help, its exit statuses, and what it prints.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use super::Small;

fn book(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_book")).args(args).output().unwrap()
}

#[test]
fn help_names_every_option_and_a_typo_exits_with_2() {
    let help = book(&["serve", "--help"]);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(
        ["serve", "--open", "--port N", "--listen ADDRESS", "--workspace DIR"].iter().all(|part| text.contains(part)),
        "{text}"
    );
    for typo in
        [&["sreve"][..], &["--prot"], &["serve", "--port", "x"], &["serve", "--listen", "everywhere"], &["--port", "1"]]
    {
        assert_eq!(book(typo).status.code(), Some(2), "{typo:?}");
    }
}

#[test]
fn a_browser_opens_the_book_or_what_is_served() {
    let small = Small::new("# First\n");
    for (args, page) in
        [(&["build", "--open"][..], "index.html"), (&["serve", "--port", "0", "--open"], "http://127.0.0.1:")]
    {
        let mut book = Command::new(env!("CARGO_BIN_EXE_book"));
        // Without the program that starts the browser, nothing is served.
        let output = book.args(args).arg("--workspace").arg(small.path()).env("PATH", "/nowhere").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = stderr.lines().last().unwrap_or_default();
        assert!(
            output.status.code() == Some(1) && last.contains("no program to open") && last.contains(page),
            "{stderr}"
        );
    }
}

#[test]
fn a_wrong_book_exits_with_1_and_names_the_line_on_stderr() {
    let small = Small::new("# First\n\n{{#listing nothing.rs}}\n");
    let build = || book(&["build", "--workspace", small.path().to_str().unwrap()]);
    let output = build();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "book/text/first.md:3: there is no file nothing.rs\n");
    small.write("book/text/first.md", "# First\n");
    let output = build();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_book_is_built_again_only_if_something_has_changed() {
    let small = Small::new("# First\n");
    let is_unchanged = || {
        let output = book(&["--workspace", small.path().to_str().unwrap()]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && small.path().join("target/book/first.html").is_file(), "{stderr}");
        stderr.ends_with("index.html, unchanged\n")
    };
    assert!(!is_unchanged());
    assert!(is_unchanged());
    small.write("book/text/first.md", "# First of all\n");
    assert!(!is_unchanged());
    assert!(is_unchanged());
    // Its machine counts, too.
    small.write("target/live/machine/stamp", "of another one\n");
    assert!(!is_unchanged());
    std::fs::remove_dir_all(small.path().join("target/book")).unwrap();
    assert!(!is_unchanged());
    // A book with a problem doesn't count as built.
    small.write("book/text/first.md", "# First\n\n{{#listing nothing.rs}}\n");
    for _ in 0..2 {
        assert!(!book(&["--workspace", small.path().to_str().unwrap()]).status.success());
    }
}

#[test]
fn listening_for_others_takes_a_word_and_gets_a_warning() {
    let small = Small::new("# First\n");
    let first_line = |address: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_book"));
        command.args(["serve", "--port", "0", "--listen", address, "--workspace", small.path().to_str().unwrap()]);
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let line = BufReader::new(server.stderr.take().unwrap()).lines().next().unwrap().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        line
    };
    assert!(first_line("0.0.0.0").starts_with("book: everyone who reaches this machine can now read the book"));
    assert!(first_line("127.0.0.1").starts_with("book: http://127.0.0.1:"));
}
