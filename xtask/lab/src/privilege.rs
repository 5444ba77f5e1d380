//! The ways to get the rights that namespaces need: being root, a user namespace, or sudo.

use std::{fs, io};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// The variable that passes `cargo xtask test --privilege` on to the tests' hosts.
pub const TEST_PRIVILEGE: &str = "MINI_DOCKER_TEST_PRIVILEGE";

/// A way to get the rights that namespaces need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// This process is root already.
    Root,
    /// A user namespace in which an ordinary user is root: user_namespaces(7).
    User,
    /// sudo(8), for the step's program alone.
    Sudo,
}

impl Privilege {
    /// Returns its name in `--privilege`.
    pub fn name(self) -> &'static str {
        match self {
            Privilege::Root => "root",
            Privilege::User => "user",
            Privilege::Sudo => "sudo",
        }
    }

    /// Reads the value of `--privilege`, which is one of the `accepted` or `auto`, which is `None`.
    pub fn parse(name: &str, accepted: &[Privilege]) -> Result<Option<Privilege>> {
        let found = accepted.iter().find(|it| it.name() == name);
        if found.is_none() && name != "auto" {
            let names: Vec<_> = accepted.iter().map(|it| it.name()).collect();
            bail!("--privilege takes auto, {}, not '{name}'", names.join(", "));
        }
        Ok(found.copied())
    }
}

/// Moves this process into a new user namespace, as its root. The process must have one thread.
pub fn enter_user_namespace() -> Result<()> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).context("unshare(CLONE_NEWUSER)")?;
    write_maps(uid, gid).context("write(\"/proc/self/uid_map\")")
}

/// Maps the root of our new user namespace to the user outside. Must come before the next execve(2), which takes the
/// capabilities of a process whose user is not mapped: user_namespaces(7).
pub(crate) fn write_maps(uid: u32, gid: u32) -> io::Result<()> {
    // Without this, an ordinary user may not write gid_map: leaving a group could otherwise lift a prohibition.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))
}
