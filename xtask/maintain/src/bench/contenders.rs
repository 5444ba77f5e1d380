//! The programs that are raced. Each makes the same container: new UTS, PID and mount namespaces, `./rootfs` as root, its own
//! /proc, and the command inside.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use lab::process::on_path;
use lab::steps;
use serde_json::json;

/// A command in the container.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    bundle: &'static str,
    /// The program and its arguments.
    pub argv: &'static [&'static str],
}

/// A command that takes hardly any time; this one is timed.
pub const TIMED: Payload = Payload { bundle: "bundles/timed", argv: &["/bin/true"] };

/// Reports its hostname and its /proc, and stays until stdin is closed. It runs no programs, because a rootfs may have few.
/// No contender returns that status by mistake.
pub const OBSERVED: Payload = Payload {
    bundle: "bundles/observed",
    argv: &[
        "/bin/sh",
        "-c",
        "read name </proc/sys/kernel/hostname; echo $name; echo /proc/[0-9]*; read until_observed; exit 7",
    ],
};

/// The programs that are built for the bench, in its directory.
pub const FLOOR: &str = "floor";
/// See [`FLOOR`].
pub const GO: &str = "go-program";

/// A program that is raced.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the tables.
    pub name: String,
    /// Its file. There is none if the program is missing.
    pub program: PathBuf,
    /// How to install it.
    pub cure: String,
    args: Vec<OsString>,
    /// True if an OCI bundle and a name follow the arguments, instead of the command.
    takes_bundle: bool,
}

impl Contender {
    /// Returns its command line with a command in the container, without input and output.
    pub fn command(&self, payload: Payload, directory: &Path) -> Command {
        let mut command = muted(Command::new(&self.program), directory);
        command.args(&self.args);
        match self.takes_bundle {
            true => command.args([payload.bundle, "mini-docker-bench"]),
            false => command.args(payload.argv),
        };
        command
    }

    /// True if the bench has built it, so that a failure is ours.
    pub fn is_built(&self, directory: &Path) -> bool {
        directory.parent().is_some_and(|target| self.program.starts_with(target))
    }

    /// For tests: a program that may do anything with the command that it is given.
    #[cfg(test)]
    pub fn pretender(args: &[&str]) -> Contender {
        let args = args.iter().map(OsString::from).collect();
        Contender {
            name: "unshare".into(),
            program: "/usr/bin/env".into(),
            cure: String::new(),
            args,
            takes_bundle: false,
        }
    }
}

/// Returns a command in a directory, without input and output.
pub fn muted(mut command: Command, directory: &Path) -> Command {
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Returns the contenders: the last step as `--release` builds it, then its peers, from the leanest to the one that does most.
///
/// # Errors
/// When there are no steps.
pub fn all(directory: &Path, programs: &Path) -> Result<Vec<Contender>> {
    let last = steps::all()?.pop().context("there are no steps")?;
    let contender = |name: &str, program: PathBuf, args: &str, cure: &str| {
        let args =
            args.split_whitespace().map(|it| it.replace("DIRECTORY", &directory.to_string_lossy()).into()).collect();
        Contender { name: name.to_owned(), program, cure: cure.to_owned(), args, takes_bundle: false }
    };
    let installed = |name: &str, args: &str, package: &str| {
        contender(name, on_path(name).unwrap_or_default(), args, &format!("`sudo apt install {package}`"))
    };
    let bundle = |name, args| Contender { takes_bundle: true, ..installed(name, args, name) };
    Ok(vec![
        contender(last.short(), programs.join(&last.name), "run", ""),
        contender(
            "C floor",
            directory.join(FLOOR),
            "",
            "it needs a C compiler and a static C library: `sudo apt install gcc libc6-dev`, `sudo dnf install gcc glibc-static`",
        ),
        installed("unshare", "--fork --pid --uts --mount --root=rootfs --mount-proc", "util-linux"),
        installed(
            "bwrap",
            "--unshare-pid --unshare-uts --hostname mini-docker --bind rootfs / --proc /proc --",
            "bubblewrap",
        ),
        contender("Go program", directory.join(GO), "run", "it needs a Go compiler: `sudo apt install golang-go`"),
        bundle("crun", "--root DIRECTORY/state --cgroup-manager=disabled run --bundle"),
        bundle("runc", "--root DIRECTORY/state run --bundle"),
        installed(
            "podman",
            "run --rm --interactive --network=host --ipc=host --cgroups=disabled --security-opt=seccomp=unconfined \
             --hostname=mini-docker --entrypoint= --rootfs DIRECTORY/rootfs",
            "podman",
        ),
    ])
}

/// Returns the command that takes a container from its creation to its removal, with three calls of an OCI runtime.
pub fn lifecycle(program: &Path, options: &str, directory: &Path) -> Command {
    let runtime = format!("\"$0\" --root \"$1\" {options}");
    let id = "mini-docker-bench";
    let script =
        format!("{runtime} create --bundle \"$2\" {id} && {runtime} start {id} && {runtime} delete --force {id}");
    let mut command = muted(Command::new("sh"), directory);
    let state = directory.join("state").join(program.file_name().unwrap_or_default());
    command.args(["-c", &script]).arg(program).arg(state).arg(TIMED.bundle);
    command
}

/// Writes the OCI bundles of crun and runc: the same namespaces, the same root, and nothing that isn't required.
///
/// # Errors
/// When they can't be written.
pub fn write_bundles(directory: &Path) -> Result<()> {
    for payload in [TIMED, OBSERVED] {
        let bundle = directory.join(payload.bundle);
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": payload.argv, "env": [path]},
            "root": {"path": directory.join("rootfs")},
            "hostname": "mini-docker",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                // The machine's. Without a mount there, they would make device files in the rootfs.
                {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]},
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "uts"}, {"type": "mount"}]},
        });
        fs::create_dir_all(&bundle)?;
        fs::write(bundle.join("config.json"), config.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_is_named_with_a_cure() {
        let all = all(Path::new("/no/such/directory"), Path::new("/no/such/programs")).unwrap();
        let names: Vec<_> = all.iter().filter(|it| !it.program.is_file()).map(|it| it.name.as_str()).collect();
        assert!(["C floor", "Go program"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(all.iter().skip(1).all(|it| it.cure.contains("`sudo apt install ")), "{all:?}");
    }
}
