//! Exercise `chroot`: a file system of its own.

use std::path::{Path, PathBuf};

use super::*;

pub fn its_root_is_the_rootfs(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let Some(rootfs) = evidence.host.rootfs else {
        return Err(cannot_run("there is no ./rootfs", "Run `cargo xtask rootfs`."));
    };
    let (root, pid) = (command.root.0, command.pid());
    if root == rootfs || command.is_overlay {
        return Ok(());
    }
    require!(root != evidence.host.root, NoChroot, "./rootfs", "/proc/{pid}/root is still the host's `/`");
    Err(fail!(AnotherRoot, "./rootfs", "/proc/{pid}/root is neither ./rootfs nor the host's `/`"))
}

/// Kinds of file systems that show kernel state rather than files. Other exercises cover them.
const KERNELS: [&str; 9] =
    ["proc", "sysfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "securityfs", "debugfs"];

/// Where such file systems are mounted on the host.
const KERNEL_DIRECTORIES: [&str; 3] = ["/dev", "/proc", "/sys"];

pub fn no_directory_of_the_hosts_is_mounted_in_it(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    super::pivot::the_old_root_is_not_among(evidence, &command.own_mounts)?;
    let host = &evidence.host;
    for mount in command.own_mounts.iter().filter(|it| it.point != Path::new("/") && !KERNELS.contains(&&*it.kind)) {
        let names = host.mounts.iter().filter(|host| host.device == mount.device);
        let names = names.filter_map(|host| Some(host.point.join(mount.root.strip_prefix(&host.root).ok()?)));
        let is_outside = |name: &PathBuf| {
            name.is_dir()
                && !KERNEL_DIRECTORIES.iter().any(|it| name.starts_with(it))
                && !name.starts_with(&host.directory)
                && !host.given.iter().any(|given| name.starts_with(given))
        };
        if let Some(name) = names.into_iter().find(is_outside) {
            let (point, name) = (mount.point.display(), name.display());
            let seen = format!("/proc/{}/root{point} is the host's {name}", command.pid());
            return Err(fail!(HostTreeInside, "only ./rootfs, and what `run` was asked to mount", "{seen}"));
        }
    }
    Ok(())
}

pub fn its_working_directory_is_inside(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    if command.cwd_is_inside {
        return Ok(());
    }
    let (pid, (cwd, path)) = (command.pid(), &command.cwd);
    let expected = "the new `/`, or a directory below it";
    let seen = format!("/proc/{pid}/cwd is {}, outside the command's `/`", path.display());
    require!(*cwd != evidence.host.root, ChdirBeforeChroot, expected, "{seen}");
    Err(fail!(ChrootWithoutChdir, expected, "{seen}"))
}

pub fn its_mounts_stay_inside(evidence: &Evidence) -> Checked {
    super::pid::it_has_a_mount_namespace(evidence)?;
    let command = evidence.command()?;
    let same_place = |one: &Mount, other: &Mount| one.point == other.point && one.kind == other.kind;
    let was_shared =
        |now: &&Mount| evidence.changes.mounts_gone.iter().any(|it| same_place(it, now) && it.peers.is_some());
    if let Some(mount) = evidence.changes.mounts_left.iter().filter(|now| now.peers.is_none()).find(was_shared) {
        let seen = format!("on the host, {} was shared and is now private", mount.point.display());
        return Err(fail!(HostMadePrivate, "the host's mounts unchanged", "{seen}"));
    }
    let is_shared =
        |mount: &&Mount| mount.peers.is_some() && evidence.host.mounts.iter().any(|it| it.peers == mount.peers);
    if let Some(mount) = command.mounts.iter().find(is_shared) {
        let (point, group) = (mount.point.display(), mount.peers.unwrap_or_default());
        let top = command.mounts.iter().find(|it| it.point == Path::new("/"));
        let is_private = top.is_some_and(|it| it.peers.is_none());
        let rec = if is_private { "; `/` itself is private, so MS_REC is missing" } else { "" };
        let seen = format!("in the command's mount namespace, {point} shares peer group {group} with the host{rec}");
        return Err(fail!(MountsShared, "no mount shared with the host", "{seen}"));
    }
    Ok(())
}
