//! `cargo xtask finale`: podman, a Kubernetes Pod, containerd, docker and buildah start containers with the runtime in
//! `step04-proc/examples/oci`.
//!
//! The check runs each command twice: with our runtime, and with crun or runc. It has storage, sockets and settings of its own, in
//! a temporary directory. As root it also has a mount namespace of its own, with an empty /run, so that whatever an engine mounts
//! or leaves there is gone with it.

mod cases;
mod engines;
mod validation;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use lab::process::on_path;
use lab::{cargo, output, workspace};
use nix::unistd::geteuid;

pub use self::cases::CASES;
use self::engines::{ENGINES, Engine, Machine};

/// Let podman, a Kubernetes Pod, containerd and buildah start containers with your own runtime
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Run the commands, with our runtime and with crun or runc, and compare what they print
    #[arg(long)]
    check: bool,
    /// Also run tests of opencontainers/runtime-tools, in a checkout of commit 260e151; they need Go and root
    #[arg(long, value_name = "DIRECTORY", requires = "check")]
    runtime_tools: Option<PathBuf>,
}

/// Builds the runtime, and prints the commands to try with each engine, or runs them.
///
/// # Errors
/// When something can't be built or prepared, or a command prints something else than it should.
pub fn run(options: &Options) -> Result<ExitCode> {
    // In an archive, which `machines` makes, it is built already.
    let build = ["build", "--package", "step04-proc", "--example", "oci"];
    let runtime = match workspace::IS_ARCHIVE {
        true => Some(workspace::programs()?.join("oci")),
        false => cargo::build_program(None, &build, "oci")?,
    };
    // Otherwise the compiler has explained why not.
    let Some(runtime) = runtime else { return Ok(ExitCode::FAILURE) };
    if !options.check {
        output::write(&commands(&runtime))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (ready, left_out): (Vec<_>, Vec<_>) = ENGINES.iter().partition(|engine| engine.obstacle().is_none());
    let tools = options.runtime_tools.as_deref();
    let checked = if ready.is_empty() && tools.is_none() { Ok(0) } else { check(&runtime, &ready, tools) };
    for engine in left_out {
        eprintln!("finale: left out: {}: {}", engine.name, engine.obstacle().unwrap_or_default());
    }
    let count = checked?;
    ensure!(count > 0, "no engine is installed that could start the runtime");
    eprintln!("finale: all {count} commands did what they should");
    Ok(ExitCode::SUCCESS)
}

/// Returns what to type, for every engine.
fn commands(runtime: &Path) -> String {
    let mut text = format!(
        "Type these first, as root or as yourself:

    cd $(mktemp -d)
    RUNTIME={} IMAGE=localhost/mini-docker
    EXAMPLE={}
    printf '%s\\n' {} >containers.conf
    export CONTAINERS_CONF=$PWD/containers.conf
    podman() {{ command podman --cgroup-manager=cgroupfs --runtime $RUNTIME \"$@\"; }}
    tar -C {} -c . | podman import - $IMAGE
    mkdir volume && echo of the host >volume/file && cp $EXAMPLE/pod.yaml .

containers.conf asks for limits that every machine allows, and for none that needs a cgroup.
For ctr, also, as root: start `containerd`, and podman save $IMAGE | ctr image import -
For docker, also: podman save $IMAGE | docker load, after a start of its daemon with
    dockerd --exec-opt native.cgroupdriver=cgroupfs --add-runtime oci=$RUNTIME
Afterwards: podman rmi $IMAGE
",
        runtime.display(),
        engines::example().display(),
        engines::CONTAINERS.lines().map(|line| format!("'{line}'")).collect::<Vec<_>>().join(" "),
        workspace::rootfs().display(),
    );
    for engine in ENGINES {
        text += &format!("\n{} ({})\n\n", engine.name, engine.obstacle().unwrap_or("installed".into()));
        for line in CASES.iter().filter(|case| case.engine == engine.name).flat_map(|case| case.command.lines()) {
            // You have a terminal; the check has to make one.
            let line = line.strip_prefix("script --quiet --return --command '").unwrap_or(line);
            let line = line.trim_end_matches("' /dev/null").replace("docker run", "docker run --runtime=oci");
            text += &format!("    {line}\n");
        }
    }
    text
}

/// Runs every command of some engines with both runtimes, and the tests in a checkout of runtime-tools, prints a table, and returns
/// the number of commands and tests.
fn check(runtime: &Path, engines: &[&Engine], tools: Option<&Path>) -> Result<usize> {
    let machine = Machine::prepare(engines, runtime)?;
    let (mut count, mut wrong) = (0, Vec::new());
    for engine in engines {
        let peer = engine.peers.iter().find_map(|name| on_path(name));
        println!("\n{}{}", engine.name, if geteuid().is_root() { "" } else { ", as an ordinary user" });
        for case in CASES.iter().filter(|case| case.engine == engine.name) {
            count += 1;
            let ours = machine.answer(case, runtime)?;
            let is_right = ours == case.expected;
            println!("{}{}", if is_right { OK } else { FAIL }, case.command.lines().collect::<Vec<_>>().join("; "));
            println!("{ANSWER}{ours}");
            if !is_right {
                println!("       expected: {}", case.expected);
                wrong.push(case.command);
            }
            match &peer {
                None => println!("       nothing to compare with: neither {} is installed", engine.peers.join(" nor ")),
                Some(peer) => {
                    let name = peer.file_name().unwrap_or_default().to_string_lossy();
                    let theirs = machine.answer(case, peer)?;
                    match theirs == ours {
                        true => println!("       the same under {name}"),
                        false => println!("       under {name}: {theirs}"),
                    }
                }
            }
        }
    }
    if let Some(tools) = tools {
        let (tests, failed) = validation::check(&machine, tools, runtime)?;
        count += tests;
        wrong.extend(failed);
    } else {
        eprintln!("finale: left out: the tests of runtime-tools; --runtime-tools DIRECTORY runs them");
    }
    ensure!(wrong.is_empty(), "{} of {count} commands did something else than they should", wrong.len());
    Ok(count)
}

/// What comes before a command that did what it should, before one that didn't, and before what it did.
const OK: &str = "  ok   ";
const FAIL: &str = "  FAIL ";
const ANSWER: &str = "       → ";

/// Reads what `check` has printed: each command, what it did, and whether that is right.
pub fn parse(text: &str) -> Vec<(String, String, bool)> {
    let mut found: Vec<(String, String, bool)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(OK), line.strip_prefix(FAIL), found.last_mut()) {
            (Some(command), ..) => found.push((command.to_owned(), String::new(), true)),
            (_, Some(command), _) => found.push((command.to_owned(), String::new(), false)),
            (.., Some((_, answer, _))) if answer.is_empty() && line.starts_with(ANSWER) => {
                answer.push_str(&line[ANSWER.len()..]);
            }
            // It differs.
            (.., Some((_, answer, _))) if line.starts_with("       under ") => *answer += &format!("; {}", line.trim()),
            _ => {}
        }
    }
    found
}

/// Runs a command to its end, with its output hidden.
fn succeeds(command: &mut Command) -> Result<()> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cases::Case;
    use super::*;

    #[test]
    fn every_engine_has_commands_and_every_command_has_an_engine() {
        for engine in ENGINES {
            assert!(CASES.iter().any(|case| case.engine == engine.name), "{}", engine.name);
        }
        for Case { engine, command, .. } in CASES {
            assert!(ENGINES.iter().any(|it| it.name == *engine), "{command}");
        }
    }

    #[test]
    fn the_output_of_a_check_can_be_read() {
        let text = format!(
            "\npodman\n{OK}a; b\n{ANSWER}1, status 0\n       the same under crun\n{FAIL}c\n{ANSWER}2\n       expected: 3\n       under runc: 3\n\nctr\n{OK}d\n{ANSWER}4\n"
        );
        let expected = [("a; b", "1, status 0", true), ("c", "2; under runc: 3", false), ("d", "4", true)];
        assert_eq!(parse(&text), expected.map(|(command, answer, is_right)| (command.into(), answer.into(), is_right)));
    }

    #[test]
    fn the_commands_to_try_are_those_of_the_check() {
        let text = commands(Path::new("/target/oci"));
        assert!(text.contains("    RUNTIME=/target/oci IMAGE="), "{text}");
        assert!(text.contains("--rm --network=none $IMAGE echo hi\n"), "{text}");
        assert!(text.contains("-it --network=none $IMAGE tty\n") && !text.contains("script"), "{text}");
    }
}
