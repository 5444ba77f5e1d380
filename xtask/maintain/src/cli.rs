//! The command line of bench, soak, ci, dist, finale and machines.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser};
use lab::privilege::Privilege;
use lab::{cargo, output};

use crate::{bench, ci, dist, finale, machines, soak};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Tool {
    Bench(bench::Options),
    Soak(soak::Options),
    Ci(ci::Options),
    Dist(dist::Options),
    Finale(finale::Options),
    Machines(machines::Options),
    /// The part of bench that runs on a throwaway host.
    #[command(hide = true)]
    BenchHost(bench::HostOptions),
    /// The part of soak that runs on a throwaway host.
    #[command(hide = true)]
    SoakHost(soak::HostOptions),
}

/// Reads the command line, and runs the command.
///
/// # Errors
/// Those of the command.
pub fn run() -> Result<ExitCode> {
    let matches = Tool::command().term_width(output::width()).get_matches();
    match Tool::from_arg_matches(&matches)? {
        Tool::Bench(options) => bench::run(&options),
        Tool::Soak(options) => soak::run(&options),
        Tool::Ci(options) => ci::run(&options),
        Tool::Dist(options) => dist::run(&options),
        Tool::Finale(options) => finale::run(&options),
        Tool::Machines(options) => machines::run(&options),
        Tool::BenchHost(options) => bench::run_on_host(&options),
        Tool::SoakHost(options) => soak::run_on_host(&options),
    }
}

/// Returns a command on a new throwaway host: this program's `subcommand`, after the words `before`.
///
/// # Errors
/// When xtask or this program can't be built.
pub fn on_host(privilege: Privilege, before: &[&OsStr], subcommand: &str) -> Result<Command> {
    // Not the file that this process executes, which a build may have replaced since: `cargo xtask ci` builds.
    let programs = cargo::steps_and(&["xtask", "maintain"])?;
    let mut command = Command::new(&programs["xtask"]);
    command.args(["host", "--die-with-parent", "--privilege", privilege.name(), "--"]);
    command.args(before).arg(&programs["maintain"]).arg(subcommand);
    Ok(command)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        super::Tool::command().debug_assert();
    }
}
