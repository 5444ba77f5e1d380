//! Exercise `user`: the command runs as a user other than root, and only in that user's group.

use lab::procfs::Pid;
use nix::unistd::{Gid, setgroups};

use super::*;

const FLAG: &str = "--user";

/// The lines of proc_pid_status(5). The first two have four numbers: real, effective, saved, and for files.
#[derive(Clone, Debug, Default)]
struct Ids {
    users: Vec<u32>,
    groups: Vec<u32>,
    others: Vec<u32>,
}

pub fn it_is_that_user(sandbox: &Sandbox) -> Checked {
    let (uid, gid) = two_numbers(sandbox)?;
    let (pid, ids) = observe_ids(sandbox, &[FLAG, &format!("{uid}:{gid}")])?;
    let expected = format!("{uid}, four times");
    let seen = format!("with `{FLAG} {uid}:{gid}`, Uid in /proc/{pid}/status is {:?}", ids.users);
    require!(ids.users.contains(&uid), StillRoot, expected, "{seen}");
    require!(ids.users.iter().all(|it| *it == uid), RootComesBack, expected, "{seen}");
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
    let status = first.as_ref().and_then(|it| sandbox.host.read(it.pid, "status").ok()).unwrap_or_default();
    let is_that_user = String::from_utf8_lossy(&status).lines().any(|it| it.starts_with(&format!("Uid:\t{uid}\t")));
    sandbox.signal(run.pid()?, Signal::SIGKILL)?;
    if let Some(left) = run.left_behind()?.first() {
        let seen = format!("after SIGKILL to `run`, process {} is still there: {}", left.pid, left.line());
        require!(!is_that_user, DeathSignalCleared, "no process left", "{seen}; process 1 is user {uid}");
        return Err(fail!(OrphansLeft, "no process left", "{seen}"));
    }
    Ok(())
}

fn require_groups(sandbox: &Sandbox, user: &str, gid: u32) -> Checked {
    let (pid, ids) = observe_ids(sandbox, &[FLAG, user])?;
    let expected = format!("{gid}, four times");
    let seen = format!("with `{FLAG} {user}`, Gid in /proc/{pid}/status is {:?}", ids.groups);
    require!(ids.groups.iter().all(|it| *it == gid), GroupKept, expected, "{seen}");
    let seen = format!("with `{FLAG} {user}`, Groups in /proc/{pid}/status is {:?}", ids.others);
    require!(ids.others.iter().all(|it| *it == gid), GroupsKept, format!("none, or {gid}"), "{seen}");
    Ok(())
}

/// Runs the program from a caller that is in groups of the host's, and returns the command's PID and its ids.
fn observe_ids(sandbox: &Sandbox, flags: &[&str]) -> Checked<(Pid, Ids)> {
    let groups = [0, sandbox.draw.number(1000, 29999), sandbox.draw.number(30_000, 59999)].map(Gid::from_raw);
    setgroups(&groups).context("setgroups")?;
    // Not a shell: some shells give up an effective user that isn't the real one.
    let line = ["sleep", &sandbox.draw.number(1000, 8999).to_string()];
    let mut run = sandbox.start(&Invocation { flags, ..Default::default() }, &line)?;
    let pid = wait_for_with(sandbox, &mut run, FLAG, &line)?.pid;
    let status = sandbox.host.read(pid, "status").with_context(|| format!("reading /proc/{pid}/status"))?;
    let status = String::from_utf8_lossy(&status);
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let numbers = |name| field(name).split_whitespace().filter_map(|it| it.parse().ok()).collect();
    Ok((pid, Ids { users: numbers("Uid:"), groups: numbers("Gid:"), others: numbers("Groups:") }))
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
