//! The command line. Commands of other tools are passed on to those tools, with their options.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use lab::output::{self, suggestion};
use lab::privilege::Privilege;
use lab::rootfs::{self, Source};
use lab::steps;
use lab::workspace;
use lexopt::prelude::*;

use crate::tools::{self, TOOLS};
use crate::{doctor, host, run, test};

/// The exit status if the command line is wrong.
const USAGE: u8 = 2;

const HELP: &str = "\
Build a container in four steps, and see what each one does

Usage: cargo xtask <COMMAND>

Run:
  run        Run a command or a shell in the container of a step
  host       Open a shell on a throwaway host, with the steps on its PATH
  rootfs     Make ./rootfs, the files of the container in steps 3 and 4
  doctor     Report what this machine can run, and how to fix what it can't
  compare    Show what each step shares with the host, and what it doesn't
  finale     Let podman and others start containers with our OCI runtime

Build it yourself:
  workshop   `workshop start` makes workshop/, with your own program
  check      Grade your program against an exercise, as the kernel sees it
  hint       Show what an exercise asks; each call adds a hint
  diff       Show the difference from your program to a solution
  reset      Replace your program with what an exercise starts from
  catch-up   Continue from our solution of the exercises before this one
  status     List the exercises, and which of them you have passed
  book       Build the book, or show it while you write

Teach:
  class      Show where everyone in a room is
  grade      Grade handed-in programs, which can do no harm

Maintain:
  test       Run the tests
  bench      Measure what a container costs, compared with other tools
  soak       Run the steps thousands of times, and check that nothing leaks
  ci         Run everything that must hold before a change lands
  dist       Make an archive for people without Rust
  machines   Boot a virtual machine with Debian, and check everything in it

`cargo xtask COMMAND --help` explains a command. Start with
`cargo xtask run step01`. If something doesn't work, `cargo xtask doctor`
finds the cause.
";

const RUN: &str = "\
Run a command or a shell in the container of a step

Usage: cargo xtask run [OPTIONS] <STEP> [--] [COMMAND [ARG...]]

  <STEP>             step01 to step04 (1 and step01-uts are the same), or
                     `mine`, the program in workshop/
  [COMMAND [ARG...]] The command to run in it [default: a shell]

The program starts in the repository's top directory, where ./rootfs is.

Options:
  --privilege HOW    How the step gets its rights: user (a user namespace), root
                     (you are root), or sudo, for the step's program alone
                     [default: root if you are, otherwise user, otherwise sudo]
  --release          Build with optimizations, and statically if the musl
                     target is installed

Example: cargo xtask run step04 -- ps -ef
";

const HOST: &str = "\
Open a shell on a throwaway host, with the steps' programs on its PATH

Usage: cargo xtask host [OPTIONS] [--] [COMMAND [ARG...]]

It has its own name, mounts and processes, which vanish with it. Its files are
this machine's. The daemons that `ps` shows on it do nothing.

  [COMMAND [ARG...]] The command to run on it [default: a shell]

Options:
  --privilege HOW    Make it in a user namespace (user), or as root (root)
                     [default: user if possible]
  --die-with-parent  End when the process that started it ends

Example: cargo xtask host -- ps -e -o pid,args
";

const ROOTFS: &str = "\
Make ./rootfs, the files of the container in steps 3 and 4

Usage: cargo xtask rootfs [OPTIONS]

Options:
  --source SOURCE    alpine (downloaded, verified and kept), busybox or host
                     (made of this machine's programs), or the path of a
                     tarball or directory [default: the first of alpine,
                     busybox and host that works]
  --mirror URL       Download Alpine from here, for example
                     https://mirror.example.org/alpine
  --sha512 SUM       The SHA-512 of the tarball, instead of the pinned one
  --force            Replace what is there, even if xtask didn't make it
  --to DIRECTORY     Make it here [default: rootfs, next to the steps]

Nothing from a tarball or directory is written outside the rootfs, and
set-user-ID bits and devices are left out. The limits are 200000 files and
directories and 2048 MiB; 64 MiB of the disk stay free.
";

const DOCTOR: &str = "\
Report what this machine can run, and how to fix what it can't

Usage: cargo xtask doctor
";

const TEST: &str = "\
Run the everyday tests, or those of one step, or all

Usage: cargo xtask test [OPTIONS] [STEP] [-- ARG...]

  [STEP]             Only the tests of this step
  [-- ARG...]        More arguments for `cargo test`

Options:
  --all              Run everything, including what takes minutes
  --source SOURCE    The source of the tests' rootfs, as in `rootfs`
  --privilege HOW    Make the throwaway hosts in a user namespace (user), or
                     as root (root)
";

/// The commands that this program runs itself: name, help, and task.
type Task = fn(&'static str, lexopt::Parser) -> Result<ExitCode>;
const COMMANDS: &[(&str, &str, Task)] = &[
    ("run", RUN, run_command),
    ("host", HOST, host_command),
    ("rootfs", ROOTFS, rootfs_command),
    ("doctor", DOCTOR, doctor_command),
    ("test", TEST, test_command),
];

/// Returns the help without the commands that an archive doesn't have.
fn overview() -> &'static str {
    let (before, after) = HELP.split_once("\nMaintain:\n").unwrap_or((HELP, ""));
    if workspace::IS_ARCHIVE && !after.is_empty() { before } else { HELP }
}

/// Returns the error for a command line that is wrong. The text explains how to correct it.
fn wrong(text: impl ToString) -> anyhow::Error {
    lexopt::Error::from(text.to_string()).into()
}

/// Reads the command line, and runs the command. Status 2 means that the command line is wrong.
///
/// # Errors
/// Those of the command.
pub fn run() -> Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let Some(name) = args.next() else {
        eprint!("{}", output::localized(overview()));
        return Ok(ExitCode::from(USAGE));
    };
    let (name, args) = (name.to_string_lossy().into_owned(), args.collect::<Vec<_>>());
    let (name, args) = match (name.as_str(), args.first().and_then(|it| it.to_str())) {
        // `help run` is `run --help`.
        ("help", Some(command)) if !["help", "--help", "-h"].contains(&command) => {
            (command.to_owned(), vec!["--help".into()])
        }
        ("help" | "--help" | "-h", _) => {
            output::write(overview())?;
            return Ok(ExitCode::SUCCESS);
        }
        ("--version" | "-V", _) => {
            output::write(concat!("mini-docker ", env!("CARGO_PKG_VERSION"), "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => (name, args),
    };
    if let Some(tool) = TOOLS.iter().find(|tool| tool.commands.contains(&name.as_str())) {
        return tools::run(tool, &name, &args);
    }
    let Some((_, help, task)) = COMMANDS.iter().find(|(it, ..)| *it == name) else {
        let known =
            COMMANDS.iter().map(|(it, ..)| *it).chain(TOOLS.iter().flat_map(|tool| tool.commands.iter().copied()));
        return Ok(usage(&format!("there is no command '{name}'{}", suggestion(&name, known)), "cargo xtask --help"));
    };
    match task(help, lexopt::Parser::from_args(args)) {
        Err(error) if error.is::<lexopt::Error>() => {
            Ok(usage(&error.to_string(), &format!("cargo xtask {name} --help")))
        }
        result => result,
    }
}

fn usage(message: &str, more: &str) -> ExitCode {
    eprintln!("{}", output::localized(&format!("xtask: {message}\nFor more, `{more}`.")));
    ExitCode::from(USAGE)
}

/// Prints the help, or fails because of an unknown option. The known options are the words of the help that begin with two
/// hyphens.
fn other(help: &'static str, arg: &lexopt::Arg<'_>) -> Result<ExitCode> {
    match arg {
        Long("help") | Short('h') => {
            output::write(help)?;
            Ok(ExitCode::SUCCESS)
        }
        Long(name) => {
            let known = help.split_whitespace().filter_map(|word| word.strip_prefix("--")).filter(|it| !it.is_empty());
            let suggestion = suggestion(name, known).replace('\'', "");
            Err(wrong(format!("there is no option --{name}{}", suggestion.replace("mean ", "mean --"))))
        }
        Short(name) => Err(wrong(format!("there is no option -{name}"))),
        Value(value) => Err(wrong(format!("there is an argument too many: '{}'", value.to_string_lossy()))),
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<String> {
    Ok(parser.value()?.string()?)
}

fn privilege(parser: &mut lexopt::Parser, accepted: &[Privilege]) -> Result<Option<Privilege>> {
    Privilege::parse(&value(parser)?, accepted).map_err(wrong)
}

/// Returns the remaining words, which belong to a command. A `--` before them is dropped.
fn rest(first: Option<OsString>, parser: &mut lexopt::Parser) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = first.into_iter().collect();
    let rest: Vec<OsString> = parser.raw_args()?.collect();
    let skipped = usize::from(words.is_empty() && rest.first().is_some_and(|word| word == "--"));
    words.extend(rest.into_iter().skip(skipped));
    Ok(words)
}

fn run_command(help: &'static str, mut parser: lexopt::Parser) -> Result<ExitCode> {
    let accepted = [Privilege::User, Privilege::Root, Privilege::Sudo];
    let (mut request, mut release) = (None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("privilege") => request = privilege(&mut parser, &accepted)?,
            Long("release") => release = true,
            Value(step) => {
                let step = step.to_string_lossy();
                let program = match step.as_ref() {
                    "mine" => run::Program::Mine,
                    step => run::Program::Step(steps::find(step).map_err(|error| {
                        let mine = suggestion(step, ["mine"]);
                        if mine.is_empty() { wrong(error) } else { wrong(format!("there is no step '{step}'{mine}")) }
                    })?),
                };
                let command = rest(None, &mut parser)?;
                return run::run(&run::Options { program, command, privilege: request, release });
            }
            arg => return other(help, &arg),
        }
    }
    let names = steps::all()?.into_iter().map(|step| format!("\n  {:<14} {}", step.name, step.title));
    let names: String = names.collect();
    Err(wrong(format!("which step?{names}\n  {:<14} your own program, in workshop/", "mine")))
}

fn host_command(help: &'static str, mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut options = host::Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("privilege") => options.privilege = privilege(&mut parser, &[Privilege::User, Privilege::Root])?,
            Long("die-with-parent") => options.die_with_parent = true,
            Value(first) => {
                options.command = rest(Some(first), &mut parser)?;
                break;
            }
            arg => return other(help, &arg),
        }
    }
    host::run(options)
}

fn rootfs_command(help: &'static str, mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut options = rootfs::Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("source") => options.source = Some(Source::from(parser.value()?)),
            Long("mirror") => options.mirror = Some(value(&mut parser)?),
            Long("sha512") => options.sha512 = Some(value(&mut parser)?),
            Long("force") => options.force = true,
            Long("to") => options.to = Some(PathBuf::from(parser.value()?)),
            arg => return other(help, &arg),
        }
    }
    rootfs::run(&options)
}

fn doctor_command(help: &'static str, mut parser: lexopt::Parser) -> Result<ExitCode> {
    match parser.next()? {
        Some(arg) => other(help, &arg),
        None => doctor::run(),
    }
}

fn test_command(help: &'static str, mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut options = test::Options::default();
    loop {
        // `--` ends our own options.
        if parser.try_raw_args().is_some_and(|args| args.peek().is_some_and(|word| word == "--")) {
            options.cargo_args = rest(None, &mut parser)?;
            break;
        }
        match parser.next()? {
            None => break,
            Some(Long("all")) => options.all = true,
            Some(Long("source")) => options.source = Some(Source::from(parser.value()?)),
            Some(Long("privilege")) => {
                options.privilege = privilege(&mut parser, &[Privilege::User, Privilege::Root])?;
            }
            Some(Value(step)) if options.step.is_none() => {
                let step = steps::find(&step.to_string_lossy()).map_err(wrong)?;
                options.step = Some(step);
            }
            Some(arg) => return other(help, &arg),
        }
    }
    test::run(&options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_overview() {
        for name in
            COMMANDS.iter().map(|(name, ..)| *name).chain(TOOLS.iter().flat_map(|tool| tool.commands.iter().copied()))
        {
            assert!(HELP.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
