//! What a step sees of the environment that cargo and rustup made.

use crate::{XTASK, on_host, text};

fn environment(variables: &str) -> String {
    format!("\n{}", text(&on_host(&format!("{variables} '{XTASK}' run 1 env")).stdout))
}

#[test]
fn what_cargo_added_is_gone() {
    let seen = environment("CARGO_PKG_NAME=x CARGO_MANIFEST_DIR=/x LD_LIBRARY_PATH=/some/target/rustlib/lib:/mine");
    assert!(!seen.contains("CARGO_PKG_NAME") && !seen.contains("CARGO_MANIFEST_DIR"), "{seen}");
    assert!(!seen.contains("\nCARGO=") && seen.contains("LD_LIBRARY_PATH=/mine\n"), "{seen}");
}

#[test]
fn what_rustup_added_is_gone_and_the_users_own_stays() {
    // The outer toolchain must still be found, so that of the test is passed on by its own directory.
    let rustup = "RUST_RECURSION_COUNT=1 PATH=/first:/usr/bin:/first:$PATH";
    let seen = environment(&format!("{rustup} RUSTUP_TOOLCHAIN_SOURCE=default CARGO_TERM_COLOR=never"));
    assert!(!seen.contains("RUST_RECURSION_COUNT") && !seen.contains("RUSTUP_TOOLCHAIN_SOURCE"), "{seen}");
    assert!(seen.contains("\nPATH=/usr/bin:/first:"), "{seen}");
    let chosen = environment(&format!("{rustup} RUSTUP_TOOLCHAIN_SOURCE=env RUSTUP_TOOLCHAIN=\"$RUSTUP_TOOLCHAIN\""));
    assert!(chosen.contains("\nRUSTUP_TOOLCHAIN="), "{chosen}");
    assert!(!seen.contains("\nRUSTUP_TOOLCHAIN="), "{seen}");
    // A setting of the user's, which cargo didn't add.
    assert!(seen.contains("CARGO_TERM_COLOR=never\n"), "{seen}");

    let seen = environment("HOME=/home/x CARGO_HOME=\"$CARGO_HOME\" RUSTUP_HOME=\"$RUSTUP_HOME\"");
    assert!(seen.contains("\nCARGO_HOME=/") && seen.contains("\nRUSTUP_HOME=/"), "{seen}");
}
