//! File systems that show a namespace: a sysfs shows a network namespace, and an mqueue an IPC namespace. The kernel makes one
//! file system for each namespace, so two mounts show the same namespace if they have the same device number.

use std::path::Path;

use lab::host::copy_mount_namespace;
use nix::fcntl::OFlag;
use nix::libc::dev_t;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{fstat, stat};

use super::*;

/// What the command sees at a mount point.
pub enum View {
    /// There is no file system of that kind; `seen` describes what is there.
    None {
        seen: String,
    },
    /// It shows a namespace other than the command's.
    Foreign,
    Own,
}

/// Returns which namespace the file system at `point`, inside the command's `/`, shows.
pub fn of(sandbox: &Sandbox, command: &Observation, point: &str, kind: &str, namespace: &str) -> Checked<View> {
    let pid = command.pid();
    let path = format!("/proc/{pid}/root{point}");
    let directory = match sandbox.host.open_inside(pid, &point[1..], OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Ok(directory) => directory,
        Err(errno) => return Ok(View::None { seen: format!("{path}: {errno}") }),
    };
    let device = fstat(&directory)?.st_dev;
    let mounts = command.own_mounts.iter().filter(|it| it.point == Path::new(point));
    if !mounts.clone().any(|it| it.kind == kind) {
        let kinds: Vec<_> = mounts.map(|it| it.kind.as_str()).collect();
        let what = if kinds.is_empty() { "a directory, not a mount point".to_owned() } else { kinds.join(", ") };
        return Ok(View::None { seen: format!("{path} is {what}") });
    }
    let own = sandbox.inside(pid, namespace, || device_of(sandbox, kind))?.context(kind.to_owned())?;
    Ok(if device == own { View::Own } else { View::Foreign })
}

/// Returns the verdict `cannot run here` if the kernel refuses such a file system of the sandbox's own namespaces.
pub fn can_be_mounted(sandbox: &Sandbox, kind: &str) -> Checked {
    let cure = match kind {
        "sysfs" => "In a user namespace, no part of the machine's /sys may be covered: uncover it, or use root.",
        _ => "Use a kernel that has this file system.",
    };
    let refused =
        |error| cannot_run(format!("the kernel refuses to mount {kind} for a new namespace: {error:#}"), cure);
    device_of(sandbox, kind).map(drop).map_err(refused)
}

/// Mounts a file system of that kind where no other process sees it, and returns its device number.
fn device_of(sandbox: &Sandbox, kind: &str) -> Result<dev_t> {
    sandbox.inside(1, "ns/mnt", || {
        // The copy disappears when we leave it.
        copy_mount_namespace()?;
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        // Any directory will do.
        let point = "/tmp";
        mount(Some(kind), point, Some(kind), flags, None::<&str>).with_context(|| format!("mount({kind:?})"))?;
        Ok(stat(point)?.st_dev)
    })?
}
