//! The workshop's tool: `cargo xtask run step03`. This file is its command line; each arm is a task of the library.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!(
        "xtask: containers are made of Linux's namespaces, so the steps run on Linux only.\n\
         On macOS use a Linux virtual machine: Lima (`limactl start --mount-writable`), Colima or OrbStack.\n\
         On Windows use WSL 2 (`wsl --install`). Anywhere: open the repository in a GitHub Codespace."
    );
    ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::ffi::OsString;
    use std::path::PathBuf;
    use std::process::ExitCode;

    use anyhow::Result;
    use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
    use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
    use xtask::compare::Color;
    use xtask::exercises::{self, Exercise};
    use xtask::privilege::Privilege;
    use xtask::rootfs::LIMITS;
    use xtask::rootfs::Source;
    use xtask::run::Program;
    use xtask::steps;
    use xtask::{bench, book, check, ci, compare, doctor, host, privilege, rootfs, run, soak, test, workshop};

    pub(super) fn main() -> ExitCode {
        if let Some(part) = host::part() {
            return host::play(&part);
        }
        let mut args = env::args_os().skip(1);
        if let (Some(first), Some(kind)) = (args.next(), args.next())
            && first == privilege::PROBE
        {
            return privilege::probe_here(&kind);
        }
        let args: Vec<OsString> = env::args_os().skip(1).collect();
        let result = match args.split_first() {
            Some((first, rest)) if first == compare::LOOK => compare::look(rest),
            Some((first, rest)) if first == soak::LOAD => soak::load(rest),
            Some((first, rest)) if first == check::EXAM => check::sit(rest),
            Some((first, rest)) if first == bench::TRACK => bench::track(rest),
            _ => dispatch(&command_line().get_matches()),
        };
        result.unwrap_or_else(|error| {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        })
    }

    fn dispatch(matches: &ArgMatches) -> Result<ExitCode> {
        match matches.subcommand().expect("clap requires one") {
            ("run", it) => run::run(&run::Options {
                program: it.get_one::<Program>("program").expect("clap requires it").clone(),
                command: command(it),
                privilege: privilege(it),
                release: it.get_flag("release"),
            }),
            ("rootfs", it) => rootfs::run(&rootfs::Options {
                source: it.get_one("source").cloned(),
                mirror: it.get_one("mirror").cloned(),
                sha512: it.get_one("sha512").cloned(),
                force: it.get_flag("force"),
                to: it.get_one("to").cloned(),
            }),
            ("doctor", _) => doctor::run(),
            ("host", it) => host::run(host::Options {
                privilege: privilege(it),
                command: command(it),
                die_with_parent: it.get_flag("die-with-parent"),
            }),
            ("test", it) => test::run(&test::Options {
                step: it.get_one("step").cloned(),
                source: it.get_one("source").cloned(),
                privilege: it.get_one("privilege").cloned(),
                cargo_args: command(it),
            }),
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
            ("diff", it) => workshop::diff(exercise(it)),
            ("reset" | "catch-up", it) => workshop::reset(exercise(it)),
            ("status", _) => workshop::status(),
            ("book", it) => book::run(&match it.subcommand() {
                Some((_, it)) => book::Options::Serve { port: *it.get_one("port").expect("has a default") },
                None => book::Options::Build { open: it.get_flag("open") },
            }),
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

    fn command(matches: &ArgMatches) -> Vec<OsString> {
        matches.get_many("command").unwrap_or_default().cloned().collect()
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

    fn color(matches: &ArgMatches) -> Color {
        match matches.get_one::<String>("color").map(String::as_str) {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => Color::Auto,
        }
    }

    fn command_line() -> Command {
        let step = || {
            Arg::new("step").value_name("STEP").value_parser(|name: &str| steps::find(name).map_err(|e| e.to_string()))
        };
        let exercise = || {
            Arg::new("exercise")
                .value_name("EXERCISE")
                .value_parser(|name: &str| exercises::find(name).map_err(|e| e.to_string()))
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
        let command = || {
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
        };
        Command::new("cargo xtask")
            .bin_name("cargo xtask")
            .version(env!("CARGO_PKG_VERSION"))
            .about("Build a container in four steps, and see what each one does")
            .after_help("Start with `cargo xtask run step01`; if something does not work, `cargo xtask doctor` says why.")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("run")
                    .about("Run a step, with a shell in it unless you name a command")
                    .arg(
                        Arg::new("program")
                            .value_name("STEP")
                            .required(true)
                            .value_parser(|name: &str| match name {
                                "mine" => Ok(Program::Mine),
                                step => steps::find(step).map(Program::Step).map_err(|error| error.to_string()),
                            })
                            .help("step01 to step04 (1 and step01-uts name the same), or `mine`, the program in workshop/"),
                    )
                    .arg(privilege(
                        &["auto", "user", "root", "sudo"],
                        "Where the rights come from: a user namespace, being root, or sudo for the step's program alone \
                         [default: root if you are, else user, else sudo]",
                    ))
                    .arg(Arg::new("release").long("release").action(ArgAction::SetTrue).help("Build with optimizations"))
                    .arg(command().help("What to run in it, with its arguments [default: a shell]"))
                    .after_help("Example: cargo xtask run step04 -- ps -ef"),
            )
            .subcommand(
                Command::new("rootfs")
                    .about("Make ./rootfs, the files of the container in steps 3 and 4")
                    .arg(source())
                    .arg(
                        Arg::new("mirror")
                            .long("mirror")
                            .value_name("URL")
                            .help("Download Alpine from here, for example https://mirror.example.org/alpine"),
                    )
                    .arg(
                        Arg::new("sha512")
                            .long("sha512")
                            .value_name("SUM")
                            .help("The SHA-512 that the tarball must have, instead of the pinned one"),
                    )
                    .arg(
                        Arg::new("force")
                            .long("force")
                            .action(ArgAction::SetTrue)
                            .help("Replace what is there, even if this program did not make it"),
                    )
                    .arg(
                        Arg::new("to")
                            .long("to")
                            .value_name("FOLDER")
                            .value_parser(value_parser!(PathBuf))
                            .help("Make it here [default: rootfs, beside the steps]"),
                    )
                    .after_help(format!(
                        "Nothing of a tarball or a directory is written outside the rootfs, and set-user-ID bits and devices \
                         are left out. The limits are {} files and directories and {} MiB; {} MiB of the disk stay free.",
                        LIMITS.entries,
                        LIMITS.bytes >> 20,
                        LIMITS.spare >> 20
                    )),
            )
            .subcommand(Command::new("doctor").about("Say what this machine can and can't do, and what would mend that"))
            .subcommand(
                Command::new("host")
                    .about("Open a shell on a throwaway host, with the steps' programs on its PATH; its files are this machine's own")
                    .arg(privilege(&["auto", "user", "root"], "Make it in a user namespace, or as root [default: user if possible]"))
                    .arg(
                        Arg::new("die-with-parent")
                            .long("die-with-parent")
                            .action(ArgAction::SetTrue)
                            .help("End when the process that started it ends"),
                    )
                    .arg(command().help("What to run on it, with its arguments [default: a shell]"))
                    .after_help("Example: cargo xtask host -- ps -e -o pid,args"),
            )
            .subcommand(
                Command::new("test")
                    .about("Run every test, or those of one step")
                    .arg(step().help("Only the tests of this step"))
                    .arg(source())
                    .arg(privilege(&["user", "root"], "Make the throwaway hosts in user namespaces, or as root"))
                    .arg(command().trailing_var_arg(false).last(true).value_name("ARG").help("More arguments for `cargo test`")),
            )
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
                    .arg(exercise().help("Its number or name [default: the one that you have begun, or just passed]")),
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
            .subcommand(
                Command::new("book")
                    .about("Build the book into target/book, or show it while you write")
                    .arg(Arg::new("open").long("open").action(ArgAction::SetTrue).help("Show it in a browser"))
                    .args_conflicts_with_subcommands(true)
                    .subcommand(
                        Command::new("serve").about("Show the book, and build it anew when something changes").arg(
                            Arg::new("port")
                                .long("port")
                                .value_name("N")
                                .value_parser(value_parser!(u16))
                                .default_value("3000")
                                .help("Listen here, on the loopback address; 0 takes a free one"),
                        ),
                    ),
            )
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
                            ("moments", "Signals of each kind to each process of each step [default: 500; short: 5]"),
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
        use std::os::unix::ffi::OsStringExt;

        use proptest::prelude::*;

        use super::*;

        #[test]
        fn the_command_line_is_well_formed() {
            command_line().debug_assert();
        }

        /// A command with words behind it: such as are known, with and without a value, and any bytes.
        fn words() -> impl Strategy<Value = Vec<OsString>> {
            let (mut commands, mut known) = (Vec::new(), Vec::new());
            for command in command_line().get_subcommands() {
                commands.push(OsString::from(command.get_name()));
                known.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?).into())));
            }
            known.extend(["--", "-", "-h", "", "1", "step02", "uts", "user"].map(OsString::from));
            let bytes = || prop::collection::vec(1_u8.., 0..20).prop_map(OsString::from_vec);
            let with_value = (prop::sample::select(known.clone()), bytes()).prop_map(|(mut word, value)| {
                word.push("=");
                word.push(value);
                word
            });
            let word = prop_oneof![3 => prop::sample::select(known), 1 => with_value, 2 => bytes(), 1 => "[ -~]{0,9}".prop_map_into()];
            let first = prop_oneof![9 => prop::sample::select(commands), 1 => bytes()];
            (first, prop::collection::vec(word, 0..6)).prop_map(|(first, rest)| [vec![first], rest].concat())
        }

        proptest! {
            #[test]
            fn any_words_are_a_command_or_an_error(words in words()) {
                match command_line().try_get_matches_from([OsString::from("xtask")].into_iter().chain(words)) {
                    Ok(matches) => prop_assert!(matches.subcommand().is_some()),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
