//! A machine that runs, and ssh to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::transcript::redact;

/// How long a machine may take to boot, emulated on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long KVM may take until the kernel prints something.
const PATIENCE_WITH_KVM: Duration = Duration::from_secs(15);
/// How long a command may take, in seconds. The finale takes the longest.
const LIMIT: &str = "2400";
/// Everything happens in this directory of the machine.
pub const TOP: &str = "/opt/mini-docker";

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An ordinary user, in a login session.
    User,
    /// The same, in a scope of systemd with cgroups of its own.
    Delegated,
    /// root, in a login shell.
    Root,
}

impl Who {
    /// Returns the name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Who::User => "user",
            Who::Delegated => "delegated",
            Who::Root => "root",
        }
    }
}

/// What a command printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub text: String,
    pub status: Option<i32>,
}

impl Output {
    /// True if the exit status is 0.
    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }

    /// Returns the lines, joined by ` / `, and the status, without what may differ between machines.
    pub fn joined(&self) -> String {
        let text = redact(&self.text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
        let status = self.status.map_or("no status".to_owned(), |it| format!("status {it}"));
        if lines.is_empty() { status } else { format!("{}, {status}", lines.join(" / ")) }
    }
}

/// A machine. It ends when this is dropped.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    /// Of the console's output and of ssh's connection.
    directory: PathBuf,
    key: PathBuf,
    port: u16,
}

impl Guest {
    /// Boots a machine: with KVM if that works, and emulated otherwise. Changes to its disk vanish with it.
    ///
    /// # Errors
    /// If it doesn't boot. The error contains the end of the console's output.
    pub fn boot(image: &Path, payload: &Path) -> Result<Guest> {
        let directory = std::env::temp_dir().join(format!("mini-docker-machine-{}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let start = |accelerator: &str| -> Result<Guest> {
            fs::create_dir_all(&directory).with_context(|| format!("mkdir({directory:?})"))?;
            let qemu = qemu(image, payload, &directory, port, accelerator).spawn().context("starting QEMU")?;
            Ok(Guest { qemu, directory: directory.clone(), key: image.join("key"), port })
        };
        if Path::new("/dev/kvm").exists() {
            let mut guest = start("kvm")?;
            if guest.prints_something()? {
                return guest.wait();
            }
            eprintln!("machines: a start with KVM fails, so QEMU emulates the processor");
        }
        start("tcg,thread=multi")?.wait()
    }

    /// True if the kernel has begun to boot.
    fn prints_something(&mut self) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE_WITH_KVM && self.qemu.try_wait()?.is_none() {
            if fs::metadata(self.directory.join("console")).is_ok_and(|it| it.len() > 0) {
                return Ok(true);
            }
            sleep(Duration::from_millis(100));
        }
        Ok(false)
    }

    /// Waits until one can log in.
    fn wait(mut self) -> Result<Guest> {
        let start = Instant::now();
        while !self.run(Who::User, "true")?.is_success() {
            if self.qemu.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let console = fs::read(self.directory.join("console")).unwrap_or_default();
                let end = String::from_utf8_lossy(&console[console.len().saturating_sub(2000)..]).into_owned();
                let errors = fs::read_to_string(self.directory.join("qemu")).unwrap_or_default();
                bail!("the machine doesn't boot: {}\n{end}", errors.trim());
            }
            sleep(Duration::from_secs(1));
        }
        Ok(self)
    }

    /// Returns ssh to the machine. The first connection is kept, because a login takes seconds in an emulated machine.
    pub fn ssh(&self, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i").arg(&self.key).arg("-p").arg(self.port.to_string());
        ssh.arg("-o").arg(format!("ControlPath={}", self.directory.join("ssh").display()));
        let settings = "StrictHostKeyChecking=no UserKnownHostsFile=/dev/null LogLevel=ERROR ConnectTimeout=100 \
            ControlMaster=auto ControlPersist=yes IdentitiesOnly=yes";
        ssh.args(settings.split(' ').flat_map(|it| ["-o", it]));
        ssh.args(options).arg("me@127.0.0.1");
        ssh
    }

    /// Runs a shell script in the machine, in the directory of the archive.
    ///
    /// # Errors
    /// If ssh can't be started.
    pub fn run(&self, who: Who, script: &str) -> Result<Output> {
        let shell = match who {
            Who::User => "sh",
            Who::Delegated => "systemd-run --user --scope --quiet --property=Delegate=yes sh",
            Who::Root => "sudo --login sh",
        };
        let quoted = format!("cd {TOP} 2>/dev/null; {script}").replace('\'', r"'\''");
        // A login shell of root's evaluates its arguments again, so the script comes by stdin.
        let line = format!(
            "printf %s '{quoted}' >/tmp/script-$$; timeout {LIMIT} {shell} /tmp/script-$$ 2>&1 </dev/null; status=$?; rm -f /tmp/script-$$; exit $status"
        );
        // The kept connection would hold stderr open.
        let output =
            self.ssh(&["-T"]).arg(line).stdin(Stdio::null()).stderr(Stdio::null()).output().context("starting ssh")?;
        Ok(Output { text: String::from_utf8_lossy(&output.stdout).replace('\r', ""), status: output.status.code() })
    }

    /// Opens a shell in the machine for the person at this terminal.
    ///
    /// # Errors
    /// If ssh can't be started.
    pub fn log_in(&self) -> Result<()> {
        self.ssh(&["-t"]).arg(format!("cd {TOP}; exec $SHELL --login")).status().context("starting ssh")?;
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.ssh(&["-O", "exit"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns QEMU with a machine of two processors, two disks, and no network but ssh.
fn qemu(image: &Path, payload: &Path, directory: &Path, port: u16, accelerator: &str) -> Command {
    let of = |name: &str| image.join(name).display().to_string();
    let mut qemu = Command::new("setpriv");
    // It must not outlive us, however we end.
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    // With less to emulate, the kernel loads fewer modules.
    let cpu = if accelerator == "kvm" { "max" } else { "Nehalem,+rdrand" };
    qemu.args(["-accel", accelerator, "-cpu", cpu, "-machine", "q35", "-smp", "2", "-m", "2048"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-kernel", &of("vmlinuz"), "-initrd", &of("initrd")]);
    // On a busy machine that emulates, a service may take longer than systemd would wait.
    let patient = "systemd.service_watchdogs=no systemd.default_timeout_start_sec=900";
    qemu.args(["-append", &format!("root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off panic=-1 {patient}")]);
    qemu.args(["-drive", &format!("file={},if=virtio,format=raw,snapshot=on", of("root.ext4"))]);
    qemu.args(["-drive", &format!("file={},if=virtio,format=raw,readonly=on", payload.display())]);
    qemu.args(["-serial", &format!("file:{}", directory.join("console").display())]);
    qemu.args(["-netdev", &format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22")]);
    qemu.args(["-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"]);
    let errors = fs::File::create(directory.join("qemu")).map_or_else(|_| Stdio::null(), Stdio::from);
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    qemu
}
