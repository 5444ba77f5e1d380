//! `cargo xtask book`: builds the book, opens it, or shows it while it is written.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use book::places::Places;
use book::problem::Problems;
use book::{build, serve};
use clap::{Arg, ArgAction, value_parser};

fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let places = match matches.get_one::<PathBuf>("workspace") {
        Some(root) => Places { root: root.clone() },
        None => Places::here(),
    };
    let result = match matches.subcommand() {
        Some(("serve", it)) => serve::run(&places, *it.get_one("port").expect("has a default")),
        Some(("build", it)) => build(&places, it.get_flag("open")),
        _ => build(&places, matches.get_flag("open")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", said(&error));
            ExitCode::FAILURE
        }
    }
}

/// Problems stand alone, one a line, so that an editor finds the places.
fn said(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.to_string().trim_end().to_owned(),
        None => format!("book: {error:#}"),
    }
}

fn build(places: &Places, open: bool) -> Result<()> {
    let index = build::build(places, None)?.publish()?.join("index.html");
    eprintln!("book: {}", index.display());
    if open { show(&index) } else { Ok(()) }
}

fn show(index: &Path) -> Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // It may become the browser itself, so it is not waited for.
    let opener =
        Command::new(opener).arg(index).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    opener.with_context(|| format!("no program to open it with; it is {}", index.display()))?;
    Ok(())
}

fn command_line() -> clap::Command {
    let open = || Arg::new("open").long("open").action(ArgAction::SetTrue).help("Show it in a browser");
    let command = clap::Command::new("book").bin_name("cargo xtask book").about("Build the book into target/book");
    command
        .arg(open())
        .arg(
            Arg::new("workspace")
                .long("workspace")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Build the book/ of this folder [default: the workspace that this program was built in]"),
        )
        .args_conflicts_with_subcommands(true)
        .subcommand(clap::Command::new("build").about("Build the book (the default)").arg(open()))
        .subcommand(
            clap::Command::new("serve").about("Show the book, and build it anew when something changes").arg(
                Arg::new("port")
                    .long("port")
                    .value_name("N")
                    .value_parser(value_parser!(u16))
                    .default_value("3000")
                    .help("Listen here, on the loopback address; 0 takes a free one"),
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
