//! What the sandbox learns by entering a namespace of a process, and by climbing to its root.

use std::os::fd::{AsRawFd, OwnedFd};

use lab::host::{copy_mount_namespace, make_mounts_private};
use nix::fcntl::openat;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::fstat;
use nix::unistd::gethostname;

use super::*;

/// The most directories to climb through, and the most stacked mounts to unmount. A program with more is hostile.
const MOST_DIRECTORIES: usize = 4096;
const MOST_LAYERS: usize = 8;

/// A directory and the mount that it is seen through: one directory may be mounted twice, and `..` leads elsewhere from each.
pub type Position = (FileId, u32);

/// Returns the hostname of the UTS namespace that this process is in, which is usually the host's.
pub fn hostname() -> Result<String> {
    Ok(gethostname().context("gethostname")?.to_string_lossy().into_owned())
}

impl Sandbox {
    /// Runs `action` in a namespace of `pid`, such as `ns/net`, and returns to our own. A socket created there stays there.
    pub fn inside<T>(&self, pid: Pid, namespace: &str, action: impl FnOnce() -> T) -> Result<T> {
        let home = self.machine.file(None, namespace).with_context(|| format!("open(\"/proc/self/{namespace}\")"))?;
        let there = self.host.file(pid, namespace).with_context(|| format!("open(\"/proc/{pid}/{namespace}\")"))?;
        setns(there, CloneFlags::empty()).with_context(|| format!("setns({namespace})"))?;
        let result = action();
        setns(home, CloneFlags::empty()).with_context(|| format!("setns({namespace}), back"))?;
        Ok(result)
    }

    /// Returns the root of the mount namespace of `pid`, to which a process can escape from a chroot, and all mounts, including
    /// those that the process's own table omits because they are outside its root.
    pub fn mount_namespace_of(&self, pid: Pid) -> Result<(FileId, Vec<Mount>)> {
        // setns(2) moves us to that root.
        self.inside(pid, "ns/mnt", || Ok((id_of(Path::new("/")).context("stat(\"/\")")?, self.own_mounts()?)))?
    }

    fn own_mounts(&self) -> Result<Vec<Mount>> {
        Ok(mountinfo::parse(&self.machine.read(None, "mountinfo")?))
    }

    /// Returns the mounts that the root of the mount namespace of `pid` covers: no table shows them, but a process in there
    /// finds them by unmounting that root and entering the namespace again.
    pub fn mounts_underneath(&self, pid: Pid) -> Result<Vec<Mount>> {
        // If mounts are shared with the host, which is another rule's concern, this would unmount the host's.
        if !self.new_mounts()?.is_empty() {
            return Ok(Vec::new());
        }
        self.inside(pid, "ns/mnt", || {
            // The copy disappears when we leave it.
            copy_mount_namespace()?;
            let copy = self.machine.file(None, "ns/mnt").context("open(\"/proc/self/ns/mnt\")")?;
            let mut underneath = Vec::new();
            for _ in 0..MOST_LAYERS {
                // EINVAL: nothing is underneath, or a user namespace may not see it, and neither may a process in it.
                if umount2("/", MntFlags::MNT_DETACH).is_err() || setns(&copy, CloneFlags::CLONE_NEWNS).is_err() {
                    break;
                }
                make_mounts_private()?;
                underneath.extend(self.own_mounts()?);
            }
            Ok(underneath)
        })?
    }

    /// Returns the position of one of our descriptors.
    pub fn position(&self, directory: &OwnedFd) -> Result<Position> {
        // Only proc_pid_fdinfo(5) has the mount's number.
        let info = self.machine.read(None, &format!("fdinfo/{}", directory.as_raw_fd())).context("reading fdinfo")?;
        let info = String::from_utf8_lossy(&info);
        let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
        Ok((fstat(directory)?.into(), mount.context("fdinfo has no mnt_id")?))
    }

    /// True if climbing from that directory by `..` stops at the root.
    pub fn is_in_root(&self, mut directory: OwnedFd, root: Position) -> Result<bool> {
        for _ in 0..MOST_DIRECTORIES {
            let here = self.position(&directory)?;
            if here == root {
                return Ok(true);
            }
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            // Where we may not climb, as with EACCES, no process in the container may, because it has no more rights.
            let Ok(above) = openat(&directory, "..", flags, Mode::empty()) else { return Ok(true) };
            if self.position(&above)? == here {
                return Ok(false);
            }
            directory = above;
        }
        Ok(false)
    }
}
