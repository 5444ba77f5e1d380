//! The maintainers' commands: bench, soak, ci.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use lab::output;
use lab::privilege::Privilege;
use lab::rootfs::Source;

use crate::{bench, ci, soak};

/// Reads the command line, and runs the command.
///
/// # Errors
/// Those of the command.
pub fn run() -> Result<ExitCode> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == soak::LOAD => soak::load(rest),
        Some((first, rest)) if first == bench::TRACK => bench::track(rest),
        _ => dispatch(&command_line().get_matches()),
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand().expect("clap requires one") {
        ("bench", it) => bench::run(&bench::Options {
            runs: *it.get_one("runs").expect("has a default"),
            short: it.get_flag("short"),
            full: it.get_flag("full"),
            write: it.get_flag("write"),
            source: it.get_one("source").cloned(),
        }),
        ("soak", it) => soak::run(&soak_options(it)),
        ("ci", it) => ci::run(&ci::Options { no_browser: it.get_flag("no-browser") }),
        (other, _) => unreachable!("clap knows no command {other}"),
    }
}

fn privilege(matches: &ArgMatches) -> Option<Privilege> {
    match matches.get_one::<String>("privilege")?.as_str() {
        "root" => Some(Privilege::Root),
        "user" => Some(Privilege::User),
        "sudo" => Some(Privilege::Sudo),
        _ => None,
    }
}

fn soak_options(matches: &ArgMatches) -> soak::Options {
    let (runs, parallel, moments) = soak::Options::default_numbers(matches.get_flag("short"));
    let number = |name, default| matches.get_one(name).copied().unwrap_or(default);
    soak::Options {
        runs: number("runs", runs),
        parallel: number("parallel", parallel),
        moments: number("moments", moments),
        seed: matches.get_one("seed").copied(),
        privilege: privilege(matches),
    }
}

fn command_line() -> Command {
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
            Command::new("bench")
                .about("Measure what a container costs, in turn with unshare, bwrap, crun, runc, podman, and the same in Go and C")
                .arg(
                    Arg::new("runs")
                        .long("runs")
                        .value_name("N")
                        .value_parser(value_parser!(usize))
                        .default_value("100")
                        .help("Let each pair run so often"),
                )
                .arg(
                    Arg::new("short")
                        .long("short")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("runs")
                        .help("Only see that everything runs: a few runs, whose figures mean little"),
                )
                .arg(
                    Arg::new("full").long("full").action(ArgAction::SetTrue).help(
                        "Also measure what takes minutes: from a clone to the first container, the tests, the book",
                    ),
                )
                .arg(
                    Arg::new("write")
                        .long("write")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("short")
                        .help("Write the tables into the book, as book/text/measured.md"),
                )
                .arg(source()),
        )
        .subcommand(
            Command::new("soak")
                .about("Run the steps thousands of times, and signal them at random moments; then see that nothing leaked")
                .arg(Arg::new("short").long("short").action(ArgAction::SetTrue).help("Smaller numbers, for CI"))
                .args(
                    [
                        ("runs", "So many runs one after the other, and as many again at once [default: 10000; short: 300]"),
                        ("parallel", "So many at once [default: 64]"),
                        ("moments", "Signals of each kind to each process of each step [default: 550; short: 5]"),
                    ]
                    .map(|(name, help)| {
                        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u32)).help(help)
                    }),
                )
                .arg(
                    Arg::new("seed")
                        .long("seed")
                        .value_name("N")
                        .value_parser(value_parser!(u64))
                        .help("The same random moments as in the run that printed this"),
                )
                .arg(privilege(
                    &["user", "root"],
                    "On a throwaway host in a user namespace, or on one of root's own [default: both if you are root]",
                )),
        )
        .subcommand(
            Command::new("ci").about("Run everything that must hold before a change lands").arg(
                Arg::new("no-browser")
                    .long("no-browser")
                    .action(ArgAction::SetTrue)
                    .help("Don't look at the book in Chromium; otherwise that, its driver, node and npm must be there"),
            ),
        )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command_line().debug_assert();
    }
}
