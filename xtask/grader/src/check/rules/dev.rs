//! Exercise `dev`: a /dev of its own, with a null device.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor, stat};
use nix::unistd::{read, write};

use super::*;

/// The devices that a container may have: null, zero, full, random, urandom, tty, ptmx; and the terminals of its own devpts.
const USUAL: [(u64, u64); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
const PTS: RangeInclusive<u64> = 136..=143;
/// How deep to search /dev. The host's disks are at the top or one directory below, as with device mapper.
const DEPTH: u32 = 3;

pub fn dev_null_swallows(sandbox: &Sandbox) -> Checked {
    let evidence = observe_more(sandbox, &Invocation::default(), |command| {
        has_dev_null(sandbox, command)?;
        has_no_device_of_the_hosts(sandbox, command)
    })?;
    evidence.0.command()?;
    is_unchanged(&sandbox.directory, &changes_of_a_killed_run(sandbox)?, "after `run` was killed")
}

fn kind_and_number(file: &FileStat) -> (SFlag, (u64, u64)) {
    (SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT, (major(file.st_rdev), minor(file.st_rdev)))
}

fn has_dev_null(sandbox: &Sandbox, command: &Observation) -> Checked {
    let pid = command.pid();
    let expected = "character device 1:3, which can be opened";
    let refused = |errno: Errno| fail!(NoDevNull, expected, "/proc/{pid}/root/dev/null: {errno}");
    let file = sandbox.host.open_inside(pid, "dev/null", OFlag::O_PATH).and_then(fstat).map_err(refused)?;
    let what = match kind_and_number(&file) {
        (SFlag::S_IFCHR, (1, 3)) => None,
        (SFlag::S_IFCHR, (major, minor)) => Some(format!("device {major}:{minor}")),
        (SFlag::S_IFREG, _) => Some(format!("a regular file of {} bytes", file.st_size)),
        _ => Some("not a device".to_owned()),
    };
    let what = what.map(|it| fail!(DevNullIsAFile, expected, "/proc/{pid}/root/dev/null is {it}"));
    what.map_or(Ok(()), Err)?;
    // On a file system mounted nodev, the device exists but can't be opened.
    let null = sandbox.host.open_inside(pid, "dev/null", OFlag::O_RDWR).map_err(refused)?;
    write(&null, b"x").and_then(|_| read(&null, &mut [0; 8])).map(drop).map_err(refused)
}

fn has_no_device_of_the_hosts(sandbox: &Sandbox, command: &Observation) -> Checked {
    let pid = command.pid();
    let expected = "of the host's devices, only null, zero, full, random, urandom and tty";
    if let Some((inside, name)) = mount_of_hosts_dev(sandbox, command) {
        let seen = format!("/proc/{pid}/root{} is the host's {}", inside.display(), name.display());
        return Err(fail!(DevOfTheHost, expected, "{seen}"));
    }
    let top = sandbox.host.open_inside(pid, "dev", OFlag::O_DIRECTORY).context("open(\"/dev\")")?;
    let mut directories = vec![("dev".to_owned(), top, DEPTH)];
    while let Some((path, directory, depth)) = directories.pop() {
        for entry in Dir::from_fd(directory.try_clone()?)?.iter().filter_map(Result::ok) {
            let name = entry.file_name();
            // Identify the device by its number, because opening some devices has side effects.
            let Ok(file) = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let path = format!("{path}/{}", name.to_string_lossy());
            let (kind, (major, minor)) = kind_and_number(&file);
            let what = match kind {
                SFlag::S_IFBLK => "block device",
                SFlag::S_IFCHR if !USUAL.contains(&(major, minor)) && !PTS.contains(&major) => "device",
                SFlag::S_IFDIR if depth > 0 && name != c"." && name != c".." => {
                    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    directories.extend(openat(&directory, name, flags, Mode::empty()).map(|it| (path, it, depth - 1)));
                    continue;
                }
                _ => continue,
            };
            return Err(fail!(DevOfTheHost, expected, "/proc/{pid}/root/{path} is {what} {major}:{minor}"));
        }
    }
    Ok(())
}

/// Returns a mount in the container that shows the host's /dev, a directory in it or one of its unusual devices, and that path
/// on the host. Ignores /dev/mqueue: such a file system belongs to the IPC namespace, whichever process mounts it, and the
/// exercise doesn't require an IPC namespace.
fn mount_of_hosts_dev<'a>(sandbox: &Sandbox, command: &'a Observation) -> Option<(&'a Path, PathBuf)> {
    let mut hosts = sandbox.mounts.borrow().clone();
    hosts.retain(|it| it.kind != "mqueue" && !it.point.starts_with(&sandbox.directory));
    command.own_mounts.iter().find_map(|it| {
        let name = |host: &Mount| Some(host.point.join(it.root.strip_prefix(&host.root).ok()?));
        let mut names = hosts.iter().filter(|host| host.device == it.device).filter_map(name);
        Some((it.point.as_path(), names.find(|name| name.starts_with("/dev") && !is_usual(name))?))
    })
}

/// True for a device that a container may have.
fn is_usual(device: &Path) -> bool {
    stat(device).is_ok_and(|file| match kind_and_number(&file) {
        (SFlag::S_IFCHR, (major, minor)) => USUAL.contains(&(major, minor)) || PTS.contains(&major),
        (kind, _) => ![SFlag::S_IFDIR, SFlag::S_IFBLK].contains(&kind),
    })
}

pub fn nothing_stays_in_dev(evidence: &Evidence) -> Checked {
    evidence.command()?;
    is_unchanged(&evidence.host.directory, &evidence.changes, "after the run")
}

fn is_unchanged(directory: &Path, changes: &Changes, when: &str) -> Checked {
    let changed: Vec<_> = changes.in_rootfs(directory).filter(|it| it.starts_with("dev")).collect();
    let names: Vec<_> = changed.iter().map(|it| it.display().to_string()).collect();
    require!(changed.is_empty(), DevLeft, "./rootfs/dev unchanged", "changed in ./rootfs {when}: {}", names.join(", "));
    Ok(())
}
