//! The maintainers' tools: bench, soak, ci, dist, finale and machines.

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod ci;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod dist;
#[cfg(target_os = "linux")]
mod finale;
#[cfg(target_os = "linux")]
mod machines;
#[cfg(target_os = "linux")]
mod soak;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    lab::reexec().unwrap_or_else(|| {
        cli::run().unwrap_or_else(|error| {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        })
    })
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
