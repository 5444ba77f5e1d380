//! The command line of the workshop's commands.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use exercises::Exercise;
use lab::output;

use crate::{catalog, check, class, compare, hand_ins, jail, workshop};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", term_width = output::width())]
enum Command {
    /// Show what each step shares with the host, and what it doesn't
    Compare(compare::Options),
    /// Your own program: `workshop start` makes its directory
    #[command(subcommand)]
    Workshop(Workshop),
    /// Grade your program against an exercise and those that it builds on, as the kernel sees it
    Check(check::Options),
    /// Show what an exercise asks; each call adds a hint
    Hint(workshop::Hint),
    /// Show the difference from your program to an exercise's solution
    Diff(workshop::Diff),
    /// Replace your program with what an exercise starts from; yours is kept in workshop/kept/
    Reset {
        /// Its number or name [default: the one you began with `reset` or `catch-up`]
        #[arg(value_parser = catalog::exercise)]
        exercise: Option<&'static Exercise>,
    },
    /// Continue from our solution of the exercises before this one, which count as skipped; yours is kept in workshop/kept/
    CatchUp {
        /// Its number or name [default: the one you are at]
        #[arg(value_parser = catalog::exercise)]
        exercise: Option<&'static Exercise>,
    },
    /// Show where everyone in a room is, from the learners' progress
    Class(class::Options),
    /// Grade handed-in programs, each without access to your files and to the others
    Grade(hand_ins::Options),
    /// List the exercises by path, and which of them you have passed
    Status(workshop::Status),
}

#[derive(clap::Subcommand)]
enum Workshop {
    /// Make workshop/, with a first program that isolates nothing
    Start(workshop::Start),
}

/// Reads the command line, and runs the command.
///
/// # Errors
/// Those of the command.
pub fn run() -> Result<ExitCode> {
    let args: Vec<OsString> = env::args_os().collect();
    match args.get(1..).unwrap_or_default() {
        [first, rest @ ..] if first == compare::OBSERVE => return compare::observe(rest),
        [first, rest @ ..] if first == check::SANDBOX => return check::sandbox(rest),
        [first, rest @ ..] if first == jail::JAIL => return jail::outer(rest),
        [first, rest @ ..] if first == jail::IN_JAIL => return jail::inner(rest),
        _ => {}
    }
    let command = Command::try_parse_from(&args).unwrap_or_else(|error| match error.source() {
        _ if error.use_stderr() && wants_json(&args) => {
            let why = error.source().map_or(error.to_string(), ToString::to_string);
            let subject =
                check::report::Subject { program: None, exercise: None, hints: 0, seed: 0, start: Instant::now() };
            std::process::exit(check::unusable(true, &subject, why.trim_start_matches("error: ").trim_end()).into())
        }
        // An exercise or a privilege that doesn't exist: the error lists those that do.
        Some(why) => {
            eprintln!("{}", output::localized(&format!("xtask: {why}")));
            std::process::exit(2)
        }
        None => error.exit(),
    });
    match command {
        Command::Compare(options) => compare::run(&options),
        Command::Workshop(Workshop::Start(options)) => workshop::start(&options),
        Command::Check(options) => Ok(check::run(&options)),
        Command::Hint(options) => workshop::hint(&options),
        Command::Diff(options) => workshop::diff(&options),
        Command::Reset { exercise } => workshop::reset(exercise),
        Command::CatchUp { exercise } => workshop::catch_up(exercise),
        Command::Class(options) => class::run(&options),
        Command::Grade(options) => hand_ins::run(&options),
        Command::Status(options) => workshop::status(&options),
    }
}

/// True if the command is a check whose stdout must be JSON, whatever else is wrong with the command line.
fn wants_json(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|command| command == "check") && args.iter().any(|arg| arg == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Command::command().debug_assert();
    }
}
