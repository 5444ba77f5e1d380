//! How a step gets the rights that namespaces need: as root, in a user namespace, or by sudo.

use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::advice::advice;
use crate::probe::{Refusal, probe};
use crate::process::on_path;

/// A way to the rights that namespaces need.
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

/// Returns the ways that `cargo xtask run` tries, in its order.
pub fn ways_to_run() -> Vec<Privilege> {
    match geteuid().is_root() {
        true => vec![Privilege::Root, Privilege::User],
        false if on_path("sudo").is_some() => vec![Privilege::User, Privilege::Sudo],
        false => vec![Privilege::User],
    }
}

/// Returns the ways to a throwaway host: a user namespace first, because there a program can do less harm.
pub fn ways_to_a_host() -> Vec<Privilege> {
    let mut ways = vec![Privilege::User];
    ways.extend(geteuid().is_root().then_some(Privilege::Root));
    ways
}

/// The way that was chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// It.
    pub privilege: Privilege,
    /// Why a better way didn't work, as a sentence.
    pub instead: Option<String>,
}

/// Chooses the first of the `ways` by which the step of this number can run here. `request` leaves only that way.
/// sudo is chosen untried, because it may ask for a password. If no way works, the error names the refused call, its cause,
/// and what to do.
pub fn choose(ways: &[Privilege], request: Option<Privilege>, step: u32) -> Result<Choice> {
    match request {
        Some(Privilege::Root) if !geteuid().is_root() => {
            bail!("--privilege root: you are not root. `run --privilege sudo` builds as you and runs as root")
        }
        Some(Privilege::Sudo) if on_path("sudo").is_none() => bail!("--privilege sudo: sudo is not on the PATH"),
        _ => {}
    }
    let mut instead: Option<anyhow::Error> = None;
    for &privilege in request.as_ref().map_or(ways, std::slice::from_ref) {
        let refusal = if privilege == Privilege::Sudo { None } else { probe(privilege)? };
        match refusal.filter(|refusal| refusal.step <= step) {
            None => return Ok(Choice { privilege, instead: instead.map(|error| error.to_string()) }),
            Some(refusal) => instead = instead.or_else(|| Some(explain(privilege, refusal, ways))),
        }
    }
    Err(instead.context("no way to the rights that a namespace needs")?)
}

/// Turns a refusal into an error: what failed, why, and what to do. `ways` are those that the caller accepts.
pub fn explain(privilege: Privilege, refusal: Refusal, ways: &[Privilege]) -> anyhow::Error {
    let place = if privilege == Privilege::User { "in a user namespace" } else { "as root" };
    anyhow!("{place}, {}: {}. {}", refusal.call, refusal.errno, advice(privilege, refusal, ways))
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
