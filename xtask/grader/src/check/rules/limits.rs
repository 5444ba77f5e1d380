//! Exercise `limits`: a cgroup that limits the number of processes.

use super::*;
use crate::check::sandbox::cgroups::Controller;
use crate::check::snapshot::{Changes, only_in};

const FLAG: &str = "--pids";

/// The command is in a cgroup that limits it, and that is gone afterwards.
pub fn its_processes_are_limited(sandbox: &Sandbox) -> Checked {
    // Odd and of three digits, because numbers in source code tend to be small or round, and below the sandbox's own limit.
    it_is_limited(sandbox, Controller::Pids, FLAG, u64::from(101 + 2 * sandbox.draw.number(0, 98)))
}

/// The command is in a cgroup that has the flag's limit, and that is gone afterwards. Without the flag, there is no new cgroup.
pub fn it_is_limited(sandbox: &Sandbox, controller: Controller, flag: &str, wanted: u64) -> Checked {
    let limits = sandbox.cgroups.of(controller)?;
    // The command fails, because the cgroup must be removed even then.
    let told = sandbox.draw.number(1, 125) as u8;
    let invocation = Invocation { flags: &[flag, &wanted.to_string()], told: Some(told), ..Default::default() };
    let (evidence, limit) =
        observe_more(sandbox, &invocation, |command| Ok(limits.limit_at(limits.path_in(&command.cgroup))))?;
    let command = evidence.command_with(flag)?;
    let (path, file) = (limits.path_in(&command.cgroup), limits.file());
    let at = format!("/proc/{}/cgroup", command.pid());
    let is_new = path != limits.start;
    require!(is_new, NoLimit, "a cgroup of its own", "{at} still names the cgroup that `run` was started in");
    let expected = format!("{file} of {wanted}, in its cgroup or above");
    match limit {
        None => return Err(fail!(LimitTooHigh, expected, "{at} names {path}, which has no limit")),
        Some(limit) if limit > wanted => {
            return Err(fail!(LimitTooHigh, expected, "{at} names {path}, where {file} is {limit}"));
        }
        Some(limit) => {
            let seen = format!("with `{flag} {wanted}`, {at} names {path}, where {file} is {limit}");
            require!(limit == wanted, FlagIgnored, expected, "{seen}");
        }
    }
    let status = describe(evidence.status);
    no_cgroup_is_left(&evidence.changes, &format!("`run {flag} {wanted}` ended with {status}"))?;
    there_is_none_without_the_flag(sandbox, flag)
}

fn there_is_none_without_the_flag(sandbox: &Sandbox, flag: &str) -> Checked {
    let before = sandbox.cgroups.below();
    let invocation = Invocation { told: Some(0), ..Default::default() };
    let (evidence, meanwhile) = observe_more(sandbox, &invocation, |_| Ok(sandbox.cgroups.below()))?;
    let command = evidence.command()?;
    no_cgroup_is_left(&evidence.changes, &format!("`run` without {flag} ended"))?;
    let expected = "the cgroup that `run` was started in";
    let seen = format!("without {flag}, /proc/{}/cgroup is {:?}", command.pid(), command.cgroup.trim());
    require!(!command.cgroup_is_new, CgroupWithoutTheFlag, expected, "{seen}");
    let new = only_in(&meanwhile, &before);
    let Some(path) = new.first() else { return Ok(()) };
    let seen = format!("without {flag}, there was a new cgroup {} while the command ran", path.display());
    Err(fail!(CgroupWithoutTheFlag, expected, "{seen}"))
}

/// Fails if a run has left a cgroup. `event` is a clause.
pub fn no_cgroup_is_left(changes: &Changes, event: &str) -> Checked {
    let Some(path) = changes.cgroups_left.first() else { return Ok(()) };
    let seen = format!("after {event}, cgroup {} still existed", path.display());
    Err(fail!(CgroupLeft, "no new cgroup left", "{seen}"))
}
