//! Exercise `limits`: a cgroup that limits the number of processes.

use std::path::Path;

use super::*;

pub mod cgroup;

use cgroup::{Cgroup, Controller, START};

const FLAG: &str = "--pids";
/// A wrapper that moves itself to where the program starts in version 2, and becomes the program.
pub const MOVE_TO_START: [&str; 4] = ["sh", "-c", r#"echo 0 >/sys/fs/cgroup/start/cgroup.procs && exec "$@""#, "sh"];

/// The command is in a cgroup that limits it, and that is gone afterwards.
pub fn its_processes_are_limited(sandbox: &Sandbox) -> Checked {
    // Of three digits and odd, because the numbers in a source are small or round.
    it_is_limited(sandbox, Controller::Pids, FLAG, u64::from(101 + 2 * sandbox.draw.number(0, 399)))
}

/// The command is in a cgroup whose limit is what stands behind the flag, and that is gone afterwards.
pub fn it_is_limited(sandbox: &Sandbox, controller: Controller, flag: &str, wanted: u64) -> Checked {
    let top = Cgroup::make(sandbox, controller)?;
    let file = controller.limit(top.tree.is_unified());
    let wrapper: &[&str] = if top.tree.is_unified() { &MOVE_TO_START } else { &[] };
    let invocation = Invocation { flags: &[flag, &wanted.to_string()], wrapper, ..Default::default() };
    let (evidence, (path, limit)) = observe_more(sandbox, &invocation, |command| {
        let table = sandbox.host.read(command.pid(), "cgroup")?;
        let path = top.tree.path_in(&String::from_utf8_lossy(&table)).unwrap_or_default().to_owned();
        Ok((path.clone(), top.limit_of(Path::new(&path))))
    })?;
    let mut left = top.made_by_others()?;
    // Without the flag no cgroup is asked for.
    let without = observe_as(sandbox, &Invocation { wrapper, ..Default::default() })?;
    without.command()?;
    left.extend(top.made_by_others()?);
    let at = format!("/proc/{}/cgroup", evidence.command_with(flag)?.pid());
    let is_new = !["", START].contains(&path.trim_start_matches('/'));
    require!(is_new, NoLimit, "a cgroup of its own", "{at} is still the one that `run` was started in");
    let expected = format!("{file} is {wanted}, there or above");
    match limit {
        None => return Err(fail!(LimitTooHigh, expected, "{at} is {path}, which has no limit")),
        Some(limit) if limit > wanted => {
            return Err(fail!(LimitTooHigh, expected, "{at} is {path}, and {file} {limit}"));
        }
        Some(limit) => {
            let seen = format!("with `{flag} {wanted}`, {at} is {path}, and {file} {limit}");
            require!(limit == wanted, FlagIgnored, expected, "{seen}");
        }
    }
    match left.first() {
        None => Ok(()),
        Some(name) => {
            let seen = format!("when `run` had ended, there was still a cgroup {name}");
            Err(fail!(CgroupLeft, "none that was not there before", "{seen}"))
        }
    }
}
