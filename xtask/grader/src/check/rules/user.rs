//! Exercise `user`: the command runs as a user other than root, and only in that user's group.

use lab::procfs::{Pid, Status};
use nix::unistd::{Gid, setgroups};

use super::*;

const FLAG: &str = "--user";

pub fn it_is_that_user(sandbox: &Sandbox) -> Checked {
    let (uid, gid) = two_numbers(sandbox)?;
    let (pid, status) = observe_status(sandbox, &[FLAG, &format!("{uid}:{gid}")])?;
    // Real, effective, saved, and for files.
    let users = status.numbers("Uid");
    let expected = format!("{uid}, four times");
    let seen = format!("with `{FLAG} {uid}:{gid}`, Uid in /proc/{pid}/status is {users:?}");
    require!(users.contains(&uid), StillRoot, expected, "{seen}");
    require!(users.iter().all(|it| *it == uid), RootComesBack, expected, "{seen}");
    Ok(())
}

pub fn it_is_in_no_other_group(sandbox: &Sandbox) -> Checked {
    let (uid, gid) = two_numbers(sandbox)?;
    require_groups(sandbox, &format!("{uid}:{gid}"), gid)
}

/// Without a GID, the group has the user's number.
pub fn the_group_may_be_left_out(sandbox: &Sandbox) -> Checked {
    let (uid, _) = two_numbers(sandbox)?;
    require_groups(sandbox, &uid.to_string(), uid)
}

/// A process that becomes another user is no longer killed when its parent dies: prctl(2).
pub fn a_killed_run_still_leaves_nothing(sandbox: &Sandbox) -> Checked {
    let (uid, gid) = two_numbers(sandbox)?;
    let user = format!("{uid}:{gid}");
    let line = ["sleep", &sandbox.draw.number(1000, 8999).to_string()];
    let mut run = sandbox.start(&Invocation { flags: &[FLAG, &user], ..Default::default() }, &line)?;
    wait_for_with(sandbox, &mut run, FLAG, &line)?;
    let first = sandbox.guests()?.into_iter().find(|it| it.inner_pid() == 1);
    let status = first.and_then(|it| sandbox.host.status(it.pid).ok()).unwrap_or_default();
    let is_that_user = status.numbers("Uid").first() == Some(&uid);
    sandbox.signal(run.pid()?, Signal::SIGKILL)?;
    if let Some(left) = run.left_behind()?.first() {
        let seen = format!("after SIGKILL to `run`, process {} is still there: {}", left.pid, left.line());
        require!(!is_that_user, DeathSignalCleared, "no process left", "{seen}; process 1 is user {uid}");
        return Err(fail!(OrphansLeft, "no process left", "{seen}"));
    }
    Ok(())
}

fn require_groups(sandbox: &Sandbox, user: &str, gid: u32) -> Checked {
    let (pid, status) = observe_status(sandbox, &[FLAG, user])?;
    for (field, diagnosis, expected) in [
        ("Gid", Diagnosis::GroupKept, format!("{gid}, four times")),
        ("Groups", Diagnosis::GroupsKept, format!("none, or {gid}")),
    ] {
        let groups = status.numbers::<u32>(field);
        let seen = format!("with `{FLAG} {user}`, {field} in /proc/{pid}/status is {groups:?}");
        if groups.iter().any(|it| *it != gid) {
            return Err(failure(diagnosis, seen, expected));
        }
    }
    Ok(())
}

/// Runs the program from a caller that is in groups of the host's, and returns the command's PID and its status.
fn observe_status(sandbox: &Sandbox, flags: &[&str]) -> Checked<(Pid, Status)> {
    let groups = [0, sandbox.draw.number(1000, 29999), sandbox.draw.number(30_000, 59999)].map(Gid::from_raw);
    setgroups(&groups).context("setgroups")?;
    // Not a shell: some shells give up an effective user that isn't the real one.
    let line = ["sleep", &sandbox.draw.number(1000, 8999).to_string()];
    let mut run = sandbox.start(&Invocation { flags, ..Default::default() }, &line)?;
    let pid = wait_for_with(sandbox, &mut run, FLAG, &line)?.pid;
    let status = sandbox.host.status(pid).with_context(|| format!("reading /proc/{pid}/status"))?;
    Ok((pid, status))
}

/// Draws a UID and a different GID, if this user namespace has users other than root.
fn two_numbers(sandbox: &Sandbox) -> Checked<(u32, u32)> {
    let (uid, gid) = (sandbox.draw.number(1000, 29999), sandbox.draw.number(30_000, 59999));
    let has = |map: &str, id: u32| -> Result<bool> {
        let map = sandbox.machine.read(None, map).with_context(|| format!("reading {map}"))?;
        let map = String::from_utf8_lossy(&map).into_owned();
        Ok(map.lines().any(|line| is_in_range(line, id)))
    };
    if has("uid_map", uid)? && has("gid_map", gid)? {
        return Ok((uid, gid));
    }
    let why = "this throwaway host's user namespace has no user except root";
    Err(cannot_run(why, "Run `cargo xtask check user --privilege root` as root."))
}

/// True if a line of a uid_map, `INSIDE OUTSIDE COUNT`, maps that number.
fn is_in_range(line: &str, id: u32) -> bool {
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    matches!(numbers[..], [inside, _, count] if (inside..inside + count).contains(&u64::from(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_ranges() {
        assert!(is_in_range("         0          0 4294967295", 1000));
        assert!(is_in_range("1000 100000 2", 1001));
        assert!(!is_in_range("1000 100000 2", 1002));
        assert!(!is_in_range("0 1000 1", 1000));
        assert!(!is_in_range("", 0));
    }
}
