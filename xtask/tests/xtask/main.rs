//! What the commands of `cargo xtask` print and return.
#![cfg(target_os = "linux")]

mod command_line;
mod doctor;
mod environment;
mod host;
mod rootfs;
mod target_directory;

use std::env;
use std::process::{Command, Output};

use testkit::host::Host;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

fn xtask(args: &[&str]) -> Output {
    Command::new(XTASK).args(args).env_remove("RUST_BACKTRACE").env("COLUMNS", "80").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a shell script on a throwaway host that can call cargo, as `xtask run` does.
fn on_host(script: &str) -> Output {
    on(&Host::new(), script)
}

fn on(host: &Host, script: &str) -> Output {
    host_shell(host).args(["sh", "-c", script]).output().unwrap()
}

/// Returns the beginning of a command on a host, with an environment in which cargo works.
fn host_shell(host: &Host) -> Command {
    let mut shell = host.command("env");
    shell.arg("CARGO_TERM_QUIET=true");
    // CARGO names the cargo that runs this test; it needs its home, and a rustc, which is where this PATH leads.
    for name in ["HOME", "PATH", "CARGO", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", lab::rootfs::TEST_DIRECTORY]
    {
        if let Some(value) = env::var_os(name) {
            shell.arg(format!("{name}={}", value.to_string_lossy()));
        }
    }
    shell
}
