//! Exercise `pivot`: nothing of the host's file system is left to climb to.

use std::path::Path;

use super::*;

pub fn nothing_is_above_its_root(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    if command.namespace_root == command.root.0 {
        return Ok(());
    }
    // With pivot_root(".", ".") the old root is on top of the new one.
    the_old_root_is_not_among(evidence, &command.own_mounts)?;
    let pid = command.pid();
    let seen = format!("the root of the command's mount namespace is above /proc/{pid}/root");
    Err(fail!(StillEscapes, "both the same directory", "{seen}"))
}

pub fn the_old_root_is_gone(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    the_old_root_is_not_among(evidence, &command.own_mounts)?;
    the_old_root_is_not_among(evidence, &command.mounts)?;
    let covered = old_root_among(evidence, &command.mounts_underneath).is_some();
    let seen = "in the command's mount namespace, the host's root is mounted underneath `/`";
    require!(!covered, OldRootCovered, "the host's root mounted nowhere", "{seen}");
    Ok(())
}

pub fn nothing_outside_is_open(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let escapes = |task: &Task| task.escapes.first().cloned();
    let Some((task, escape)) = command.tasks.iter().find_map(|it| Some((it, escapes(it)?))) else { return Ok(()) };
    let (path, link, to) = (task.path(), &escape.link, escape.to.display());
    let whose = match task.process.inner_pid() {
        _ if task.tid == command.pid() => "the command's".to_owned(),
        _ if task.is_thread() => "another thread's".to_owned(),
        inner => format!("in the container /proc/{inner}/{link}, which the command may open"),
    };
    let diagnosis = match (escape.kind, link.as_str()) {
        (_, "root" | "cwd") if task.is_thread() => Diagnosis::ThreadOutside,
        (_, "root") => Diagnosis::StillEscapes,
        (_, "cwd") => Diagnosis::ChrootWithoutChdir,
        (EscapeKind::File, _) => Diagnosis::ForeignFileOpen,
        _ => Diagnosis::DescriptorsLeaked,
    };
    let seen = format!("{path}/{link}, {whose}, points outside the container, to {to}");
    Err(failure(diagnosis, seen, "nothing in the container that points outside"))
}

fn old_root_among<'a>(evidence: &Evidence, mounts: &'a [Mount]) -> Option<&'a Mount> {
    let old = evidence.host.mounts.iter().rfind(|mount| mount.point == Path::new("/"))?;
    mounts.iter().find(|mount| (&old.device, &old.root) == (&mount.device, &mount.root))
}

/// Requires that none of the mounts shows the host's `/`.
pub fn the_old_root_is_not_among(evidence: &Evidence, mounts: &[Mount]) -> Checked {
    let Some(mount) = old_root_among(evidence, mounts) else { return Ok(()) };
    let seen = format!("in the command's mount namespace, the host's root is mounted at {}", mount.point.display());
    Err(fail!(OldRootReachable, "the host's root mounted nowhere", "{seen}"))
}
