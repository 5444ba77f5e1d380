//! Chooses how a step gets its rights on this machine.

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::geteuid;

use crate::advice::advice;
use crate::privilege::Privilege;
use crate::probe::{Refusal, probe};
use crate::process::on_path;

/// Returns the ways that `cargo xtask run` tries, in order.
pub fn ways_to_run() -> Vec<Privilege> {
    match geteuid().is_root() {
        true => vec![Privilege::Root, Privilege::User],
        false if on_path("sudo").is_some() => vec![Privilege::User, Privilege::Sudo],
        false => vec![Privilege::User],
    }
}

/// Returns the ways to make a throwaway host. A user namespace comes first, because a program can do less harm in one.
pub fn ways_to_a_host() -> Vec<Privilege> {
    let mut ways = vec![Privilege::User];
    ways.extend(geteuid().is_root().then_some(Privilege::Root));
    ways
}

/// True if this process can make a host without a user namespace.
pub fn can_be_root() -> bool {
    geteuid().is_root() && probe(Privilege::Root).is_ok_and(|refusal| refusal.is_none())
}

/// The way that was chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The way.
    pub privilege: Privilege,
    /// Why a better way didn't work, as a sentence.
    pub instead: Option<String>,
}

/// Chooses the first of the `ways` in which the step of this number can run here. A `request` allows only that way.
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
    Err(instead.context("no way to get the rights that a namespace needs")?)
}

/// Turns a refusal into an error: what failed, why, and what to do. `ways` are those that the caller accepts.
pub fn explain(privilege: Privilege, refusal: Refusal, ways: &[Privilege]) -> anyhow::Error {
    let place = if privilege == Privilege::User { "in a user namespace" } else { "as root" };
    anyhow!("{place}, {}: {}. {}", refusal.call, refusal.errno, advice(privilege, refusal, ways))
}
