//! The front door, `cargo xtask`: runs the steps, makes the rootfs, and builds the other tools when a command needs them.

#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod doctor;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod readiness;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod test;
#[cfg(target_os = "linux")]
mod tools;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    lab::reexec().unwrap_or_else(|| {
        cli::run().unwrap_or_else(|error| {
            eprintln!("{}", lab::output::localized(&format!("xtask: {error:#}")));
            ExitCode::FAILURE
        })
    })
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!(
        "xtask: containers are made of Linux namespaces, so the steps run only on Linux.\n\
         On macOS use a Linux virtual machine: Lima (`limactl start --mount-writable`), Colima or OrbStack.\n\
         On Windows use WSL 2 (`wsl --install`). Anywhere: open the repository in a GitHub Codespace."
    );
    ExitCode::FAILURE
}
