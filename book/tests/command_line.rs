//! What a person meets who types `cargo xtask book`.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

#[test]
fn the_program_explains_itself() {
    for (args, part) in
        [(&["--help"][..], "serve"), (&["serve", "--help"], "--port <N>"), (&["build", "--help"], "--open")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_book")).args(args).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{args:?}");
    }
}

#[test]
fn a_typo_gets_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_book")).arg("sreve").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_book_gets_status_1_and_names_the_line_on_stderr() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("book/text")).unwrap();
    fs::write(folder.path().join("book/book.toml"), "[book]\nsrc = \"text\"\n").unwrap();
    fs::write(folder.path().join("book/text/SUMMARY.md"), "[First](first.md)\n").unwrap();
    let build = |text: &str| {
        fs::write(folder.path().join("book/text/first.md"), text).unwrap();
        Command::new(env!("CARGO_BIN_EXE_book")).arg("--workspace").arg(folder.path()).output().unwrap()
    };
    let output = build("# First\n\n{{#listing nothing.rs}}\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "book/text/first.md:3: there is no file nothing.rs\n");
    let output = build("# First\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
