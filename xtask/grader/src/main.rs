//! The commands of a workshop: check, hint, diff, reset, catch-up, status, workshop; and compare.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    lab::reexec().unwrap_or_else(|| {
        grader::cli::run().unwrap_or_else(|error| {
            eprintln!("{}", lab::output::localized(&format!("xtask: {error:#}")));
            ExitCode::FAILURE
        })
    })
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
