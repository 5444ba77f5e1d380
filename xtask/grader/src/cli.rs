//! The command line of the workshop's commands.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use exercises::Exercise;
use grader::compare::Color;
use grader::{catalog, check, compare, workshop};
use lab::output;
use lab::privilege::Privilege;
use lab::rootfs::Source;

/// Reads the command line, and runs the command.
///
/// # Errors
/// Those of the command.
pub fn run() -> Result<ExitCode> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == compare::LOOK => compare::look(rest),
        Some((first, rest)) if first == check::SANDBOX => check::sandbox(rest),
        _ => dispatch(&command_line().get_matches()),
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand().expect("clap requires one") {
        ("compare", it) => compare::run(&compare::Options {
            json: it.get_flag("json"),
            color: color(it),
            real: it.get_flag("real"),
            privilege: privilege(it),
        }),
        ("workshop", _) => workshop::start(),
        ("check", it) => Ok(check::run(&check::Options {
            exercise: exercise(it),
            program: it.get_one("cmd").cloned(),
            watch: it.get_flag("watch"),
            json: it.get_flag("json"),
            color: color(it),
            source: it.get_one("source").cloned(),
            privilege: privilege(it),
        })),
        ("hint", it) => workshop::hint(&workshop::Hint {
            exercise: exercise(it),
            statement: it.get_flag("statement"),
            all: it.get_flag("all"),
        }),
        ("diff", it) => workshop::diff(&workshop::Diff { exercise: exercise(it), solution: it.get_flag("solution") }),
        ("reset" | "catch-up", it) => workshop::reset(exercise(it)),
        ("status", _) => workshop::status(),
        (other, _) => unreachable!("clap knows no command {other}"),
    }
}

fn exercise(matches: &ArgMatches) -> Option<&'static Exercise> {
    matches.get_one::<&'static Exercise>("exercise").copied()
}

fn privilege(matches: &ArgMatches) -> Option<Privilege> {
    match matches.get_one::<String>("privilege")?.as_str() {
        "root" => Some(Privilege::Root),
        "user" => Some(Privilege::User),
        "sudo" => Some(Privilege::Sudo),
        _ => None,
    }
}

fn color(matches: &ArgMatches) -> Color {
    match matches.get_one::<String>("color").map(String::as_str) {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

fn command_line() -> Command {
    let exercise = || {
        Arg::new("exercise")
            .value_name("EXERCISE")
            .value_parser(|name: &str| catalog::exercise(name).map_err(|e| e.to_string()))
    };
    let color = || {
        Arg::new("color")
            .long("color")
            .value_name("WHEN")
            .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
            .help("When to colour it [default: auto, on a terminal]")
    };
    let source = || {
        Arg::new("source").long("source").value_name("SOURCE").value_parser(OsStringValueParser::new().map(Source::from)).help(
            "alpine (downloaded, verified, kept), busybox or host (made of this machine's programs), or the path of a \
             tarball or folder [default: the first of alpine, busybox, host that can be had]",
        )
    };
    let privilege = |values: &[&'static str], help: &'static str| {
        Arg::new("privilege")
            .long("privilege")
            .value_name("HOW")
            .value_parser(PossibleValuesParser::new(values.to_vec()))
            .help(help)
    };
    Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .term_width(output::width())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("compare")
                .about("Ask the same questions on the host and inside each step, and print what is shared and what is new")
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of a table"))
                .arg(color())
                .arg(Arg::new("real").long("real").action(ArgAction::SetTrue).help(
                    "Compare with this machine, instead of with a throwaway host for each step",
                ))
                .arg(privilege(
                    &["auto", "user", "root", "sudo"],
                    "Where the rights come from, as in `run`; sudo only with --real",
                ))
                .after_help(
                    "host's: the same as the host's. `kill` counts which of the host's processes a signal would reach. mounts reach \
                     host: would something mounted inside show outside? The namespaces are read outside, from /proc/PID/ns.",
                ),
        )
        .subcommand(
            Command::new("workshop")
                .about("Your own program: `workshop start` makes its folder")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(Command::new("start").about("Make workshop/, with a first program that isolates nothing")),
        )
        .subcommand(
            Command::new("check")
                .about("Grade your program by an exercise and those it builds on, as the kernel sees it")
                .arg(exercise().help("Its number or name [default: the one that you are at]"))
                .arg(Arg::new("cmd").long("cmd").value_name("PROGRAM").value_parser(value_parser!(OsString)).help(
                    "Grade this program, in any language; it must take `run COMMAND [ARG...]` [default: the one in workshop/]",
                ))
                .arg(Arg::new("watch").long("watch").action(ArgAction::SetTrue).help("Again whenever it changes, until Ctrl-D"))
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of a report"))
                .arg(color())
                .arg(source())
                .arg(privilege(
                    &["auto", "user", "root"],
                    "Grade on a throwaway host in a user namespace, or of root's own [default: user if possible]",
                ))
                .after_help(
                    "Status 0: all pass. 1: one fails, or yours does not compile. 77: this machine can't tell. 2: nothing to grade.",
                ),
        )
        .subcommand(
            Command::new("hint")
                .about("Say what an exercise asks, and at each call give one hint more")
                .arg(exercise().help("Its number or name [default: the one that you are at]"))
                .arg(Arg::new("statement").long("statement").action(ArgAction::SetTrue).help("No hint, only what to do"))
                .arg(
                    Arg::new("all")
                        .long("all")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("statement")
                        .help("Every hint, the last of which is the solution"),
                ),
        )
        .subcommand(
            Command::new("diff")
                .about("Show the difference from your program to an exercise's solution")
                .arg(exercise().help("Its number or name [default: the one that you have begun, or just passed]"))
                .arg(
                    Arg::new("solution")
                        .long("solution")
                        .action(ArgAction::SetTrue)
                        .help("Print the complete solution instead"),
                ),
        )
        .subcommand(
            Command::new("reset")
                .about("Put your program back to what an exercise starts from; yours is kept aside")
                .arg(exercise().help("Its number or name [default: the one that you are at]")),
        )
        .subcommand(
            Command::new("catch-up")
                .about("Go on from the solution of the exercises before this one; yours is kept aside")
                .arg(exercise().help("Its number or name [default: where you are]")),
        )
        .subcommand(Command::new("status").about("Show the exercises, and which you have passed"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command_line().debug_assert();
    }
}
