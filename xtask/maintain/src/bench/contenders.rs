//! Who takes part: the step's program as it is built in several ways, and the programs it is measured against. Each makes the
//! same: a new UTS, PID and mount namespace, `./rootfs` as root, a /proc of its own, and the command in there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What is run inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// As good as nothing: this is timed.
    True,
    /// Says how it finds itself, and stays until it has been looked at from outside.
    Look,
}

impl Inside {
    /// The program and its arguments.
    pub fn argv(self) -> &'static [&'static str] {
        match self {
            Inside::True => &["/bin/true"],
            // No tools: a rootfs may have few. The status is one that nobody returns by mistake.
            Inside::Look => &[
                "/bin/sh",
                "-c",
                "read name </proc/sys/kernel/hostname; echo $name; echo /proc/[0-9]*; read until_looked_at; exit 7",
            ],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Inside::True => "true",
            Inside::Look => "look",
        }
    }
}

/// A program that takes part.
#[derive(Clone, Debug)]
pub struct Contender {
    /// As the tables name it; no tab in it.
    pub name: String,
    /// Where it is.
    pub program: PathBuf,
    /// Does it name its container, as we do? (`unshare` can't.)
    pub names: bool,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// These arguments, then the command.
    Before(Vec<OsString>),
    /// These arguments, then the folder of an OCI bundle with the command in it, and a name.
    Bundle(Vec<OsString>, PathBuf),
}

impl Contender {
    /// For tests: a program that is given the command, and makes of it what it likes.
    #[cfg(test)]
    pub fn pretender(program: &str, args: &[&str]) -> Contender {
        let how = How::Before(args.iter().map(OsString::from).collect());
        Contender { name: program.to_owned(), program: program.into(), names: false, how }
    }

    /// Itself with a command in its container, to be started in the bench's room, deaf and mute.
    pub fn command(&self, inside: Inside) -> Command {
        let mut command = Command::new(&self.program);
        match &self.how {
            How::Before(args) => command.args(args).args(inside.argv()),
            How::Bundle(args, bundles) => command.args(args).arg(bundles.join(inside.name())).arg("mini-docker-bench"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Somebody who can't take part, and what would change that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// As the tables would name it.
    pub name: String,
    /// A sentence with a command in it.
    pub cure: String,
}

/// The programs that were built for the bench, in its room.
pub const FLOOR: &str = "floor";
/// See [`FLOOR`].
pub const GO: &str = "go-program";
/// See [`FLOOR`].
pub const STATIC: &str = "step04-static";
/// See [`FLOOR`].
pub const MUSL: &str = "step04-musl";

/// The last step's program as the workspace builds it, and then as others may build it, as far as they are there.
pub fn ours(room: &Path, step: &Path) -> Vec<Contender> {
    let ours = |name: &str, program: &Path| Contender {
        name: name.to_owned(),
        program: program.to_owned(),
        names: true,
        how: How::Before(vec!["run".into()]),
    };
    let mut all = vec![ours("step04", step)];
    for (name, file) in [("step04, static", STATIC), ("step04, musl", MUSL)] {
        all.extend(room.join(file).exists().then(|| ours(name, &room.join(file))));
    }
    all
}

/// The others, from the leanest to the one that does most.
pub fn peers(room: &Path) -> (Vec<Contender>, Vec<Missing>) {
    let (mut here, mut missing) = (Vec::new(), Vec::new());
    let mut add = |name: &str, program: Option<PathBuf>, names: bool, how: How, cure: &str| match program {
        Some(program) => here.push(Contender { name: name.to_owned(), program, names, how }),
        None => missing.push(Missing { name: name.to_owned(), cure: cure.to_owned() }),
    };
    let args = |args: &str| args.split_whitespace().map(OsString::from).collect::<Vec<_>>();
    let made = |name: &str| Some(room.join(name)).filter(|file| file.exists());
    let state = room.join("state");
    let bundles = |options: &str| {
        let mut all = vec!["--root".into(), state.clone().into()];
        all.extend(args(options));
        How::Bundle(all, room.join("bundles"))
    };

    add(
        "C floor",
        made(FLOOR),
        true,
        How::Before(Vec::new()),
        "a static C library is missing: `sudo apt install gcc libc6-dev` or `sudo dnf install gcc glibc-static`",
    );
    add(
        "unshare",
        lab::process::on_path("unshare"),
        false,
        How::Before(args("--fork --pid --uts --mount --root=rootfs --mount-proc")),
        "`sudo apt install util-linux`",
    );
    add(
        "bwrap",
        lab::process::on_path("bwrap"),
        true,
        How::Before(args("--unshare-pid --unshare-uts --hostname mini-docker --bind rootfs / --proc /proc --")),
        "`sudo apt install bubblewrap`",
    );
    add("Go program", made(GO), true, How::Before(args("run")), "go is missing: `sudo apt install golang-go`");
    add(
        "crun",
        lab::process::on_path("crun"),
        true,
        bundles("--cgroup-manager=disabled run --bundle"),
        "`sudo apt install crun`",
    );
    add("runc", lab::process::on_path("runc"), true, bundles("run --bundle"), "`sudo apt install runc`");
    let mut podman = args(
        "run --rm --interactive --network=host --ipc=host --cgroups=disabled --security-opt=seccomp=unconfined \
         --hostname=mini-docker --entrypoint= --rootfs",
    );
    podman.push(room.join("rootfs").into());
    add("podman", lab::process::on_path("podman"), true, How::Before(podman), "`sudo apt install podman`");
    (here, missing)
}

/// Writes the OCI bundles of crun and runc: the same namespaces, the same root, and nothing more than they can do without.
///
/// # Errors
/// When they can't be written, or the room's path is not UTF-8.
pub fn write_bundles(room: &Path) -> Result<()> {
    let rootfs = room.join("rootfs");
    let rootfs = rootfs.to_str().context("crun and runc need a path in UTF-8")?;
    for inside in [Inside::True, Inside::Look] {
        let folder = room.join("bundles").join(inside.name());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.json"), bundle(rootfs, inside.argv()))?;
    }
    Ok(())
}

fn bundle(rootfs: &str, argv: &[&str]) -> String {
    let args: Vec<String> = argv.iter().map(|arg| format!("{arg:?}")).collect();
    // The /dev of the machine: without a mount there, they would make device files in the rootfs.
    format!(
        r#"{{"ociVersion": "1.0.2",
"process": {{"terminal": false, "user": {{"uid": 0, "gid": 0}}, "cwd": "/", "args": [{args}],
    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}},
"root": {{"path": {rootfs:?}}},
"hostname": "mini-docker",
"mounts": [{{"destination": "/proc", "type": "proc", "source": "proc"}},
    {{"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}}],
"linux": {{"namespaces": [{{"type": "pid"}}, {{"type": "uts"}}, {{"type": "mount"}}]}}}}
"#,
        args = args.join(", ")
    )
}

/// The first line of what `program --version` says.
pub fn version(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_names_its_root_and_its_command() {
        let json = bundle("/a \"b\"", &["/bin/sh", "-c", "exit 7"]);
        assert!(json.contains(r#""args": ["/bin/sh", "-c", "exit 7"]"#), "{json}");
        assert!(json.contains(r#""path": "/a \"b\"""#), "{json}");
        assert_eq!(json.matches('{').count(), json.matches('}').count());
    }

    #[test]
    fn whoever_is_missing_is_named_with_a_cure() {
        let (here, missing) = peers(Path::new("/no/such/room"));
        assert_eq!(here.len() + missing.len(), 7);
        assert!(missing.iter().any(|it| it.name == "C floor") && missing.iter().any(|it| it.name == "Go program"));
        assert!(missing.iter().all(|it| it.cure.contains("`sudo apt install ")), "{missing:?}");
    }
}
