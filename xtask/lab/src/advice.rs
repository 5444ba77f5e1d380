//! Advice on a refused call: the cause as observed on this machine, and a command that fixes it.

use std::env;
use std::fs;
use std::path::Path;

use nix::errno::Errno;

use crate::mountinfo::{self, Mount};
use crate::privilege::Privilege;
use crate::probe::Refusal;
use crate::procfs::Status;

/// CAP_SYS_ADMIN, as a bit of /proc/PID/status's CapEff: capabilities(7).
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// What this machine shows about why a call may be refused.
#[derive(Debug, Default)]
struct Machine {
    /// In a chroot, `/` usually isn't a mount point.
    root_is_mount_point: bool,
    proc_is_masked: bool,
    /// This process has CAP_SYS_ADMIN.
    can_administrate: bool,
    /// Settings of the kernel, by their paths in /proc/sys.
    settings: Vec<(&'static str, String)>,
    container: Option<&'static str>,
}

const APPARMOR: &str = "kernel/apparmor_restrict_unprivileged_userns";
const DEBIAN: &str = "kernel/unprivileged_userns_clone";
const LIMIT: &str = "user/max_user_namespaces";

impl Machine {
    fn observe() -> Machine {
        let mounts = mountinfo::own().unwrap_or_default();
        let setting = |name| (name, fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default());
        let status = Status::new(&fs::read("/proc/self/status").unwrap_or_default());
        Machine {
            root_is_mount_point: mounts.iter().any(|mount| mount.point == Path::new("/")),
            proc_is_masked: mounts.iter().any(hides_part_of_proc),
            can_administrate: status.set("CapEff").unwrap_or_default() & CAP_SYS_ADMIN != 0,
            settings: [APPARMOR, DEBIAN, LIMIT].into_iter().map(setting).collect(),
            container: container(),
        }
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.settings.iter().any(|(it, now)| *it == name && now.trim() == value)
    }
}

/// True for a mount that hides a part of /proc, as container engines create. binfmt_misc and the like hide nothing.
fn hides_part_of_proc(mount: &Mount) -> bool {
    mount.point.starts_with("/proc") && mount.point != Path::new("/proc") && !mount.point.starts_with("/proc/sys/fs")
}

/// Returns what to do about a refusal, as a sentence or two with a command. The `ways` are those that the caller accepts.
pub fn advice(privilege: Privilege, refusal: Refusal, ways: &[Privilege]) -> String {
    cause_and_cure(privilege, refusal, ways, &Machine::observe())
}

fn cause_and_cure(privilege: Privilege, refusal: Refusal, ways: &[Privilege], machine: &Machine) -> String {
    let user = privilege == Privilege::User;
    // A cure that the caller doesn't accept is not one.
    let as_root = if ways.contains(&Privilege::Sudo) { "use `--privilege sudo`" } else { "become root" };
    let (call, container) = (refusal.call, machine.container);
    let tell = |cause: &str, cure: &str| format!("{cause}: {cure}.");
    match refusal.errno {
        Errno::EINVAL if call.starts_with("mount(NULL") => tell(
            "`/` is not a mount point, so this is a chroot",
            "leave it, or make a mount point: `mount --bind ROOT ROOT`",
        ),
        _ if call.starts_with("mount(\"proc\"") && machine.proc_is_masked => tell(
            "Something is mounted over parts of /proc (`grep ' /proc/' /proc/self/mountinfo`), and a user namespace may not \
             uncover it",
            match container {
                Some(_) => "start this container with `--privileged`",
                None if user => as_root,
                None => "unmount them",
            },
        ),
        Errno::ENOSPC => tell(
            match machine.is(LIMIT, "0") {
                true => "user.max_user_namespaces is 0 on this machine",
                false => "A limit on namespaces is reached (`sysctl user | grep namespaces`)",
            },
            "raise it, usually with `sudo sysctl user.max_user_namespaces=15000`",
        ),
        Errno::EINVAL | Errno::ENOSYS => {
            tell("This kernel has no such namespaces", "on Windows use WSL 2 (`wsl --set-version DISTRO 2`)")
        }
        _ if user && call == "unshare(CLONE_NEWUSER)" && !machine.root_is_mount_point => tell(
            "In a chroot the kernel refuses user namespaces, user_namespaces(7)",
            &format!("leave the chroot, or {as_root}"),
        ),
        _ if user && machine.is(DEBIAN, "0") => tell(
            "kernel.unprivileged_userns_clone is 0 on this machine",
            "`sudo sysctl kernel.unprivileged_userns_clone=1`",
        ),
        _ if user && machine.is(APPARMOR, "1") => tell(
            "AppArmor keeps user namespaces from programs that it doesn't know",
            &format!(
                "allow them until the next boot with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or {as_root}"
            ),
        ),
        _ if !user && !machine.can_administrate => tell(
            "This root lacks the capability CAP_SYS_ADMIN (`grep CapEff /proc/self/status`)",
            &match container {
                Some(container) => format!("start {container} with `--privileged`"),
                None => "use `--privilege user`, or a root that has it".into(),
            },
        ),
        _ => match container {
            Some("an LXC container") => tell(
                "This is an LXC container, which forbids it",
                "`lxc config set NAME security.nesting true` on its host, then restart it",
            ),
            Some(container) => tell(
                &format!("This is {container}, which may forbid it"),
                "start it with `--privileged`, or use a virtual machine",
            ),
            None if user => tell("The cause is not known", as_root),
            None => tell("A security module may forbid it", "`sudo dmesg | tail` may say more"),
        },
    }
}

/// Returns the kind of container that this process runs in, if it is a known kind. Each leaves its mark.
pub fn container() -> Option<&'static str> {
    if Path::new("/.dockerenv").exists() {
        return Some("a Docker container");
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("a Podman container");
    }
    let kind = fs::read_to_string("/run/systemd/container").ok().filter(|kind| !kind.is_empty());
    match kind.or_else(|| env::var("container").ok()).unwrap_or_default().trim() {
        "" => None,
        "lxc" => Some("an LXC container"),
        _ => Some("a container"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(call: &'static str, errno: Errno, privilege: Privilege, ways: &[Privilege], machine: Machine) -> String {
        cause_and_cure(privilege, Refusal { call, step: 0, errno }, ways, &machine)
    }

    const USER: &str = "unshare(CLONE_NEWUSER)";
    const PROC: &str = "mount(\"proc\", \"/proc\", …)";

    fn machine() -> Machine {
        Machine { root_is_mount_point: true, can_administrate: true, ..Machine::default() }
    }

    #[test]
    fn each_cause_that_is_observed_is_named() {
        use Privilege::{Root, Sudo, User};
        let with = |name, value: &str| Machine { settings: vec![(name, value.to_owned())], ..machine() };
        let masked = || Machine { proc_is_masked: true, ..machine() };
        let chroot = Machine { root_is_mount_point: false, ..with(DEBIAN, "1\n") };
        let lxc = || Machine { container: Some("an LXC container"), ..machine() };
        let docker = Machine { container: Some("a Docker container"), ..Machine::default() };
        for (call, errno, privilege, machine, part) in [
            (USER, Errno::EPERM, User, chroot, "In a chroot"),
            (USER, Errno::EPERM, User, with(DEBIAN, "0\n"), "kernel.unprivileged_userns_clone=1"),
            (USER, Errno::ENOSPC, User, with(LIMIT, "0\n"), "user.max_user_namespaces is 0"),
            (USER, Errno::ENOSPC, User, with(LIMIT, "100\n"), "A limit on namespaces"),
            ("mount(NULL, \"/\", …)", Errno::EACCES, User, with(APPARMOR, "1\n"), "AppArmor"),
            (PROC, Errno::EPERM, User, masked(), "use `--privilege sudo`"),
            (PROC, Errno::EPERM, Root, masked(), "mounted over parts of /proc"),
            ("mount(NULL, \"/\", …)", Errno::EINVAL, Root, masked(), "this is a chroot"),
            ("unshare(CLONE_NEWUTS)", Errno::EPERM, Root, Machine::default(), "CAP_SYS_ADMIN"),
            ("unshare(CLONE_NEWUTS)", Errno::EPERM, Root, docker, "start a Docker container with `--privileged`"),
            ("unshare(CLONE_NEWUTS)", Errno::EPERM, Root, lxc(), "security.nesting"),
            (USER, Errno::EINVAL, User, machine(), "WSL 2"),
        ] {
            let text = told(call, errno, privilege, &[User, Sudo], machine);
            assert!(text.contains(part), "{call} {errno} {privilege:?}: {text}");
        }
    }

    #[test]
    fn sudo_is_advised_only_where_it_is_accepted() {
        for (ways, has_sudo) in [(&[Privilege::User, Privilege::Sudo][..], true), (&[Privilege::User], false)] {
            for (call, errno) in [(USER, Errno::EPERM), (PROC, Errno::EPERM)] {
                let masked = Machine { proc_is_masked: true, ..machine() };
                assert_eq!(told(call, errno, Privilege::User, ways, masked).contains("--privilege sudo"), has_sudo);
            }
        }
    }
}
