//! The disk of a machine.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::cargo;
use lab::process::on_path;

use super::Machine;

const SCRIPT: &str = include_str!("../../machines/image.sh");

/// What every machine has: a login session with its own systemd, sudo, ssh, and the tools of the steps and the exercises.
const PACKAGES: &str = "systemd-sysv,libpam-systemd,dbus-user-session,sudo,procps,openssh-server,linux-image-cloud-amd64,\
    initramfs-tools,lz4,hostname,kmod,udev,iproute2";
/// What the complete check needs in addition: the engines of the finale, what they need, and the runtimes to compare ours with.
const MORE: &str =
    "podman,conmon,catatonit,uidmap,buildah,containerd,docker.io,crun,runc,systemd-container,python3-minimal";

/// The programs that are needed here, and the package of each.
const NEEDS: [(&str, &str); 5] = [
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
];

/// Checks that this machine can build and boot another: that it has the programs, and that Debian's packages can be fetched unless
/// the disk is there already.
///
/// # Errors
/// One line, which says what to install.
pub fn needs(machine: &Machine, short: bool) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the machines are for x86-64, and the programs here aren't");
    let is_missing = |name: &str| on_path(name).is_none() && !Path::new("/usr/sbin").join(name).exists();
    let mut missing: Vec<&str> =
        NEEDS.iter().filter(|(name, _)| is_missing(name)).map(|(_, package)| *package).collect();
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").exists() {
        missing.push("debian-archive-keyring");
    }
    missing.dedup();
    ensure!(missing.is_empty(), "on Debian or Ubuntu, `sudo apt install {}`", missing.join(" "));
    if !directory(machine, short)?.is_dir() {
        // With this variant it does no more than fetch the list of packages.
        let mut lists = Command::new("mmdebstrap");
        lists.args(["--quiet", "--variant=custom", "--simulate", machine.suite, "/dev/null"]).stdin(Stdio::null());
        ensure!(lists.status().context("starting mmdebstrap")?.success(), "Debian's packages can't be fetched here");
    }
    Ok(())
}

/// Returns the packages of a machine.
fn packages(machine: &Machine, short: bool) -> String {
    if short { PACKAGES.to_owned() } else { format!("{PACKAGES},{MORE}{}", machine.more) }
}

/// Returns where a machine's disk is, or will be.
fn directory(machine: &Machine, short: bool) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (SCRIPT, machine.suite, &packages(machine, short)).hash(&mut hasher);
    Ok(cargo::target_directory()?.join(format!("machines/{}-{:016x}", machine.name, hasher.finish())))
}

/// Returns the directory of a machine's disk, kernel, initrd and key, built unless its inputs are the same as before.
///
/// # Errors
/// If it can't be built.
pub fn ensure(machine: &Machine, short: bool) -> Result<PathBuf> {
    let directory = directory(machine, short)?;
    if directory.is_dir() {
        return Ok(directory);
    }
    eprintln!("machines: building {} of Debian's packages, which takes minutes", machine.title);
    let new = directory.with_file_name(format!("{}-new", machine.name));
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("removing {}", new.display()))?;
    }
    fs::create_dir_all(&new).with_context(|| format!("mkdir({new:?})"))?;
    let script = directory.with_file_name("image.sh");
    fs::write(&script, SCRIPT).with_context(|| format!("writing {}", script.display()))?;
    let mut build = Command::new("bash");
    build.arg(&script).args([machine.suite, &new.to_string_lossy(), &packages(machine, short)]);
    let status = build.stdin(Stdio::null()).status().context("starting the build")?;
    ensure!(status.success(), "{} can't be built here", machine.title);
    fs::rename(&new, &directory).with_context(|| format!("moving {}", new.display()))?;
    Ok(directory)
}
