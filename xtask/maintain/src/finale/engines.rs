//! The engines, and a place in which they can't harm the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::host::copy_mount_namespace;
use lab::process::on_path;
use lab::{rootfs, workspace};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::geteuid;
use serde_json::json;

use super::cases::Case;
use super::succeeds;

/// A program that starts containers with a runtime.
#[derive(Debug)]
pub struct Engine {
    /// Its name in the tables.
    pub name: &'static str,
    /// The programs that it needs, and the package of each.
    needs: &'static [(&'static str, &'static str)],
    /// True if only root can run it.
    for_root: bool,
    /// The runtimes to compare ours with; the first that is installed is used.
    pub peers: &'static [&'static str],
}

/// All engines.
pub const ENGINES: &[Engine] = &[
    Engine { name: "podman", needs: PODMAN, for_root: false, peers: &["crun", "runc"] },
    Engine { name: "podman kube play", needs: KUBE, for_root: false, peers: &["crun", "runc"] },
    Engine {
        name: "ctr",
        needs: &[("containerd", "containerd"), ("ctr", "containerd")],
        for_root: true,
        peers: &["runc", "crun"],
    },
    Engine { name: "docker", needs: DOCKER, for_root: true, peers: &["runc"] },
    Engine { name: "buildah", needs: &[("buildah", "buildah")], for_root: true, peers: &["crun", "runc"] },
];
const DOCKER: &[(&str, &str)] = &[("dockerd", "docker.io"), ("docker", "docker.io"), ("containerd", "containerd")];
const PODMAN: &[(&str, &str)] = &[("podman", "podman"), ("conmon", "conmon"), ("script", "bsdutils")];
const KUBE: &[(&str, &str)] = &[("podman", "podman"), ("conmon", "conmon"), ("catatonit", "catatonit")];

impl Engine {
    /// Returns why it can't be used on this machine.
    pub fn obstacle(&self) -> Option<String> {
        // Its daemon changes the machine's network and cgroups, so a second one needs a machine that nobody else uses.
        if self.name == "docker" && !workspace::IS_ARCHIVE {
            return Some(
                "the check starts its daemon only in a virtual machine: `cargo xtask machines --check`".into(),
            );
        }
        if let Some((program, package)) = self.needs.iter().find(|(program, _)| !is_installed(program)) {
            return Some(format!("{program} is missing: `sudo apt install {package}`"));
        }
        (self.for_root && !geteuid().is_root()).then(|| "it needs root".to_owned())
    }
}

/// Some are in a directory that is on nobody's PATH.
fn is_installed(program: &str) -> bool {
    on_path(program).is_some() || Path::new("/usr/libexec/podman").join(program).exists()
}

/// Returns the directory of the runtime's source, with the files for Kubernetes.
pub fn example() -> PathBuf {
    workspace::root().join("step04-proc/examples/oci")
}

/// What the engines use instead of the machine's: storage, sockets, settings, and an image.
pub struct Machine {
    pub directory: PathBuf,
    runtime: PathBuf,
    daemons: Vec<Child>,
}

/// How long a daemon may take to start, and a command to end, in an emulated machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The image's name.
const IMAGE: &str = "localhost/mini-docker";

/// podman's settings for what containers share with the machine: limits that every machine allows, and none that needs a cgroup.
pub const CONTAINERS: &str =
    "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\npids_limit = 0\n";

/// A Pod with two containers.
const POD: &str = include_str!("../../../../step04-proc/examples/oci/pod.yaml");

impl Machine {
    /// Makes the place, and an image of `./rootfs` in it for each engine.
    pub fn prepare(engines: &[&Engine], runtime: &Path) -> Result<Machine> {
        rootfs::ensure()?;
        let directory = std::env::temp_dir().join(format!("mini-docker-finale-{}", std::process::id()));
        for name in ["bin", "image", "volume", "tmp"] {
            fs::create_dir_all(directory.join(name)).with_context(|| format!("mkdir({directory:?})"))?;
        }
        let mut machine = Machine { directory, runtime: runtime.to_owned(), daemons: Vec::new() };
        if geteuid().is_root() {
            copy_mount_namespace()?;
            // crun refuses to work where both versions of cgroups have controllers. So hide the second, if there is one.
            let unified = Path::new("/sys/fs/cgroup/unified").is_dir().then_some("/sys/fs/cgroup/unified");
            for empty in ["/run", "/dev/shm"].into_iter().chain(unified) {
                mount(Some("tmpfs"), empty, Some("tmpfs"), MsFlags::empty(), None::<&str>)
                    .with_context(|| format!("mount(\"tmpfs\", {empty:?}, \"tmpfs\", 0, NULL)"))?;
            }
        }
        machine.write_files()?;
        machine.make_image().context("making the image")?;
        let has = |name: &str| engines.iter().any(|engine| engine.name.starts_with(name));
        if has("podman") || has("buildah") {
            let load = if on_path("podman").is_some() {
                "podman load --quiet --input image.tar"
            } else {
                "buildah pull docker-archive:image.tar"
            };
            succeeds(&mut machine.shell(load)).context("loading the image")?;
        }
        if has("ctr") || has("docker") {
            let config = format!("--config {}/containerd.toml", machine.directory.display());
            machine.start_daemon("containerd", &config, "ctr version")?;
            succeeds(&mut machine.shell("ctr image import --snapshotter native image.tar"))
                .context("loading the image")?;
        }
        if has("docker") {
            let here = machine.directory.display();
            let places = format!("--data-root={here}/docker --exec-root={here}/docker-run --pidfile={here}/docker.pid");
            let runtime = runtime.display();
            let options = format!(
                "{places} --host=unix://{here}/docker.sock --containerd={here}/containerd.sock --storage-driver=vfs \
                 --add-runtime=oci={runtime} --exec-opt=native.cgroupdriver=cgroupfs --bridge=none --iptables=false --ip6tables=false --ip-forward=false"
            );
            machine.start_daemon("dockerd", &options, "docker version")?;
            succeeds(&mut machine.shell("docker load --input image.tar")).context("loading the image")?;
        }
        Ok(machine)
    }

    /// Writes the settings, and a wrapper for each program that takes the place of the options that a reader doesn't need.
    fn write_files(&self) -> Result<()> {
        let here = self.directory.display();
        // On a machine with version 1 of cgroups the runtime can set no limits, so none is asked for.
        let is_version_2 = statfs("/sys/fs/cgroup").is_ok_and(|it| it.filesystem_type() == CGROUP2_SUPER_MAGIC);
        let without_cgroups = if is_version_2 { "" } else { "--cgroups=disabled" };
        let storage = format!("--root {here}/storage --runroot {here}/run --storage-driver vfs");
        let programs = [
            (
                "podman",
                format!(
                    "options='{storage} --cgroup-manager=cgroupfs'\n[ \"$1\" != run ] || {{ shift; set -- run {without_cgroups} \"$@\"; }}\n\
                     exec PROGRAM $options --runtime \"$RUNTIME\" \"$@\""
                ),
            ),
            ("buildah", format!("exec PROGRAM {storage} \"$@\"")),
            ("ctr", format!("exec PROGRAM --address {here}/containerd.sock \"$@\"")),
            // docker can't load its profile on a machine without AppArmor's tools, and our runtime ignores profiles.
            (
                "docker",
                format!(
                    "[ \"$1\" != run ] || {{ shift; set -- run --security-opt apparmor=unconfined --runtime \"${{RUNTIME##*/}}\" \"$@\"; }}\n\
                     exec PROGRAM --host unix://{here}/docker.sock \"$@\""
                ),
            ),
        ];
        for (name, script) in programs {
            let Some(program) = on_path(name) else { continue };
            let file = self.directory.join("bin").join(name);
            fs::write(&file, format!("#!/bin/sh\n{}\n", script.replace("PROGRAM", &program.to_string_lossy())))?;
            fs::set_permissions(&file, Permissions::from_mode(0o755))?;
        }
        // With an empty /run the journal is out of reach, so the logs are files.
        let containers = format!(
            "{CONTAINERS}log_driver = \"k8s-file\"\n\
             [engine]\nruntime_supports_nocgroup = [\"oci\", \"crun\"]\nevents_logger = \"none\"\ntmp_dir = \"{here}/tmp\"\n"
        );
        let containerd = format!(
            "version = 2\nroot = \"{here}/containerd\"\nstate = \"{here}/containerd-state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{here}/containerd.sock\"\n"
        );
        let files = [
            ("containers.conf", containers.as_str()),
            ("containerd.toml", &containerd),
            ("policy.json", "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}"),
            ("pod.yaml", POD),
            ("volume/file", "of the host\n"),
        ];
        for (name, text) in files {
            fs::write(self.directory.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(())
    }

    /// Makes `image.tar` as `docker save` would: a layer, a configuration, and a manifest.
    fn make_image(&self) -> Result<()> {
        let layer = self.directory.join("image/layer.tar");
        let mut tar = Command::new("tar");
        tar.args(["--numeric-owner", "--owner=0", "--group=0", "-cf"]).arg(&layer);
        succeeds(tar.arg("-C").arg(workspace::rootfs()).arg("."))?;
        let digest = self.shell("sha256sum image/layer.tar").output()?.stdout;
        let digest = String::from_utf8_lossy(&digest).chars().take(64).collect::<String>();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Env": [path], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [format!("{IMAGE}:latest")], "Layers": ["layer.tar"]}]);
        fs::write(self.directory.join("image/config.json"), config.to_string())?;
        fs::write(self.directory.join("image/manifest.json"), manifest.to_string())?;
        let pack = "tar -cf image.tar -C image manifest.json config.json layer.tar && rm image/layer.tar";
        succeeds(&mut self.shell(pack))
    }

    /// Starts a daemon, and waits until a command that asks it succeeds.
    fn start_daemon(&mut self, name: &str, options: &str, question: &str) -> Result<()> {
        let path = self.directory.join(name).with_extension("log");
        let log = fs::File::create(&path)?;
        let mut daemon = Command::new(on_path(name).with_context(|| format!("{name} is missing"))?);
        daemon.args(options.split_whitespace()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.daemons.push(daemon.spawn().with_context(|| format!("starting {name}"))?);
        let start = Instant::now();
        while succeeds(&mut self.shell(question)).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("{name} doesn't answer: {}", fs::read_to_string(path)?);
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Returns a shell in the place, with the wrappers first on its PATH.
    pub fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("timeout");
        let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.display());
        shell.arg(PATIENCE.as_secs().to_string()).args(["sh", "-c", script]).current_dir(&self.directory);
        shell.env("PATH", path).env("IMAGE", IMAGE).env("EXAMPLE", example()).env("RUNTIME", &self.runtime);
        shell.env("CONTAINERS_CONF", self.directory.join("containers.conf"));
        shell
    }

    /// Returns what a command prints on stdout, and its status, with one of the runtimes.
    pub fn answer(&self, case: &Case, runtime: &Path) -> Result<String> {
        let mut shell = self.shell(case.command);
        let shell = shell.env("RUNTIME", runtime).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = shell.spawn().context("starting a shell")?;
        // Held open, because script(1) loses output at the end of its stdin.
        let stdin = shell.stdin.take();
        let output = shell.wait_with_output()?;
        drop(stdin);
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let status = output.status.code().map_or_else(|| output.status.to_string(), |code| format!("status {code}"));
        let answer = if lines.is_empty() { status } else { format!("{}, {status}", lines.join(" / ")) };
        let stderr = String::from_utf8_lossy(&output.stderr);
        let why = stderr.lines().last().filter(|_| answer != case.expected);
        Ok(why.map_or(answer.clone(), |line| format!("{answer} ({line})")))
    }

    /// Ends what is still running, and removes the place.
    fn clean_up(&mut self) -> Result<()> {
        if self.directory.join("storage").exists() && on_path("podman").is_some() {
            succeeds(&mut self.shell("podman pod rm --all --force; podman rm --all --force --time 0"))?;
        }
        // The last first, because docker uses containerd.
        for mut daemon in self.daemons.drain(..).rev() {
            // SIGTERM, so that it ends its shims.
            succeeds(Command::new("kill").arg(daemon.id().to_string()))?;
            daemon.wait()?;
        }
        if geteuid().is_root() {
            // In our own mount namespace. docker leaves its network namespaces mounted.
            let mounts = "cut -d' ' -f5 /proc/self/mountinfo | grep \"^$PWD/\" | sort -r | xargs -r umount --lazy";
            succeeds(&mut self.shell(mounts))?;
        }
        // The engines leave the cgroups in which they make those of their containers. In use, one can't be removed.
        for cgroup in ["libpod_parent", "default", "docker"] {
            let all = format!("/sys/fs/cgroup/{cgroup} /sys/fs/cgroup/*/{cgroup}");
            let _ = self.shell(&format!("for it in {all}; do rmdir $it/* $it; done")).output();
        }
        // An ordinary user's storage has files of other users of the user namespace, which a process keeps alive.
        if !geteuid().is_root() && on_path("podman").is_some() {
            succeeds(&mut self.shell("podman unshare rm -rf storage && podman system migrate"))?;
        }
        fs::remove_dir_all(&self.directory).with_context(|| format!("removing {:?}", self.directory))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.clean_up() {
            eprintln!("finale: cleaning up: {error:#}");
        }
    }
}
