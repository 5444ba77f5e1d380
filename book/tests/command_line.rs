//! What a person meets who types `cargo xtask book`.

use std::process::Command;

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
