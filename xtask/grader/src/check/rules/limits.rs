//! Exercise `limits`: a cgroup that limits the number of processes.

use std::path::Path;

use super::*;

pub(super) mod cgroup;

use cgroup::{Cgroup, START};

const FLAG: &str = "--pids";
/// A wrapper that moves itself to where the program starts in version 2, and becomes the program.
const MOVE_TO_START: [&str; 4] = ["sh", "-c", r#"echo 0 >/sys/fs/cgroup/start/cgroup.procs && exec "$@""#, "sh"];

/// The command is in a cgroup that limits it, and that is gone afterwards.
pub fn its_processes_are_limited(sandbox: &Sandbox) -> Checked {
    let top = Cgroup::make(sandbox)?;
    // Of three digits and odd, because the numbers in a source are small or round.
    let pids = 101 + 2 * (std::process::id() % 400);
    let wrapper: &[&str] = if top.tree.is_unified() { &MOVE_TO_START } else { &[] };
    let invocation = Invocation { flags: &[FLAG, &pids.to_string()], wrapper, ..Default::default() };
    let (evidence, (path, limit)) = observe_more(sandbox, &invocation, |command| {
        let table = sandbox.host.read(command.pid(), "cgroup")?;
        let path = top.tree.path_in(&String::from_utf8_lossy(&table)).unwrap_or_default().to_owned();
        Ok((path.clone(), top.limit_of(Path::new(&path))))
    })?;
    let left = top.made_by_others()?;
    let at = format!("/proc/{}/cgroup", evidence.command_with(FLAG)?.pid());
    let is_new = !["", START].contains(&path.trim_start_matches('/'));
    require!(is_new, NoLimit, "a cgroup of its own", "{at} is still the one that `run` was started in");
    let expected = format!("pids.max is {pids}, there or above");
    match limit {
        None => return Err(fail!(LimitTooHigh, expected, "{at} is {path}, which has no limit")),
        Some(limit) if limit > pids => {
            return Err(fail!(LimitTooHigh, expected, "{at} is {path}, and pids.max {limit}"));
        }
        Some(limit) => {
            let seen = format!("with `{FLAG} {pids}`, {at} is {path}, and pids.max {limit}");
            require!(limit == pids, FlagIgnored, expected, "{seen}");
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
