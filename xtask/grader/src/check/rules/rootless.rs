//! Exercise `rootless`: all steps without privileges on the host.

use std::process::{Command, Stdio};

use super::*;
use crate::catalog;
use crate::check::evidence::{maps_root, not_mapped};
use crate::check::rules;

pub fn it_needs_no_rights(sandbox: &Sandbox) -> Checked {
    // Run as an ordinary user without capabilities, with random and different IDs. That needs a user namespace of ours around
    // the program's own, because the host has no other IDs to give. On a host of root's own, the kernel then requires "deny" in
    // setgroups, as it does of every user. In a user namespace, where setgroups(2) is denied already, only the write shows.
    let (number, gid) = (sandbox.draw.number(20_000, 29_999), sandbox.draw.number(40_000, 49_999));
    let uid = number.to_string();
    let unshare = ["unshare", "--user"];
    user_namespaces_nest()?;
    let invocation =
        Invocation { wrapper: &unshare, watch_setgroups: true, user: Some((number, gid)), ..Default::default() };
    let (evidence, (uid_map, gid_map, of_command, of_run)) = observe_more(sandbox, &invocation, |command| {
        let pid = command.pid();
        let map = |name| sandbox.host.read(pid, name).map(|map| String::from_utf8_lossy(&map).into_owned());
        let namespace = |pid| sandbox.host.id(pid, "ns/user").ok();
        // A process that the sandbox started has no parent on the host.
        let of_run = sandbox.guests()?.into_iter().find(|it| it.parent == 0).and_then(|it| namespace(it.pid));
        Ok((map("uid_map")?, map("gid_map")?, namespace(pid), of_run))
    })?;
    let outer = evidence.started_in;
    let Some(command) = &evidence.observation else { return Err(why_it_never_ran(&evidence, &uid)) };
    let pid = command.pid();
    let is_new = of_command != outer && command.new.contains(&"user");
    let seen = format!("/proc/{pid}/ns/user is the namespace that `run` was started in");
    require!(is_new, NoUserNamespace, "a user namespace of its own", "{seen}");
    if let Some(failure) = gid_map_was_refused(&evidence).filter(|_| !maps_root(&gid_map)) {
        return Err(failure);
    }
    if !maps_root(&uid_map) || !maps_root(&gid_map) {
        return Err(not_mapped(&format!("the command is process {pid}"), &uid_map, &gid_map));
    }
    // A write shows only if the program itself has moved, because a child that writes is another process.
    let is_denied_anyhow = String::from_utf8_lossy(&sandbox.host.read(1, "setgroups")?).trim() == "deny";
    let denied = !is_denied_anyhow || of_run == outer || evidence.wrote_setgroups != Some(false);
    let seen = "`run` created a user namespace, but wrote nothing to its /proc/self/setgroups";
    require!(denied, GroupsNotDenied, "`deny` written to setgroups before gid_map", "{seen}");
    let steps: Vec<_> = catalog::exercises()?.iter().filter(|it| it.is_step()).collect();
    rules::shared(&steps)?.into_iter().filter_map(Rule::shared).try_for_each(|rule| rule(&evidence))
}

/// Checks that a user without capabilities can create a user namespace on this host.
fn user_namespaces_nest() -> Checked {
    if lab::process::on_path("unshare").is_none() {
        return Err(cannot_run("unshare(1) is missing", "It is part of util-linux: `sudo apt install util-linux`."));
    }
    let line = ["unshare", "--user", "--map-root-user", "unshare", "--user", "--map-root-user", "true"];
    let why = match Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => shorten(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => error.to_string(),
    };
    let cure = "`cargo xtask doctor` reports what this machine allows.";
    Err(cannot_run(format!("`{}`: {why}", line.join(" ")), cure))
}

/// Returns the failure of a program whose command never ran, although it runs when the program is privileged.
fn why_it_never_ran(evidence: &Evidence, uid: &str) -> Error {
    let (said, words) = (shorten(&evidence.stderr), Stderr::new(&evidence.stderr));
    let never_ran = || evidence.command().map(drop).expect_err("the command never ran");
    let Some(remains) = &evidence.remains else { return never_ran() };
    if let Some(failure) = gid_map_was_refused(evidence) {
        return failure;
    }
    // The map of the user namespace around the program begins with this number.
    let is_outer = remains.uid_map.split_whitespace().next() == Some(uid);
    // A program that maps each number to itself has the same map in its own, and has written there before.
    if is_outer && evidence.wrote_setgroups == Some(true) {
        let seen = format!("without capabilities, `run` ended; on stderr: {said}");
        return not_mapped(&seen, &remains.uid_map, &remains.gid_map);
    }
    if is_outer {
        let expected = "the command in a user namespace of its own";
        let seen = "without capabilities, `run` ended in the user namespace that it was started in";
        return fail!(NoUserNamespace, expected, "{seen}; on stderr: {said}");
    }
    if words.names(Errno::EPERM) && words.has("_map") && !remains.is_mapped() {
        let expected = format!("`0 {uid} 1` in uid_map, and its own GID likewise in gid_map");
        let seen = format!("`run` was started as user {uid}");
        return fail!(MapRefused, expected, "{seen}; on stderr: {said}");
    }
    never_ran()
}

/// Returns the failure of a program that reports that it couldn't write gid_map, and that hasn't denied setgroups(2).
fn gid_map_was_refused(evidence: &Evidence) -> Option<Error> {
    let words = Stderr::new(&evidence.stderr);
    if !words.names(Errno::EPERM) || !words.has("gid_map") || evidence.wrote_setgroups == Some(true) {
        return None;
    }
    let seen = format!("without capabilities, `run` couldn't write gid_map; on stderr: {}", shorten(&evidence.stderr));
    Some(fail!(GroupsNotDenied, "`deny` written to setgroups before gid_map", "{seen}"))
}
