//! Exercise `proc`: a /proc of its own, read-only, and no mount left when it ends.

use std::path::Path;

use super::*;

pub fn its_proc_is_its_own(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let pid = command.pid();
    let expected = "a proc file system in which 1 is the first process of the command's PID namespace";
    match command.proc {
        ProcView::Own { .. } => return Ok(()),
        ProcView::Foreign => {
            let seen = format!("/proc/{pid}/root/proc shows another PID namespace than the command's");
            return Err(fail!(ProcOfTheHost, expected, "{seen}"));
        }
        ProcView::None => {}
    }
    let procs = |mounts: &[Mount]| mounts.iter().filter(|it| it.kind == "proc").cloned().collect::<Vec<_>>();
    let (inside, hosts) = (procs(&command.mounts), procs(&evidence.host.mounts));
    let seen = format!("/proc/{pid}/root/proc is no proc file system");
    let is_new = command.root.0 != evidence.host.root && inside.len() > hosts.len();
    require!(is_new, ProcNotMounted, expected, "{seen}");
    if let Some(place) = inside.iter().find_map(|mount| mount.point.strip_prefix(&command.root.1).ok()) {
        return Err(fail!(ProcNotMounted, expected, "{seen}; but there is one at /{}", place.display()));
    }
    Err(fail!(ProcBeforeChroot, expected, "{seen}; but there is a new one elsewhere in its mount namespace"))
}

pub fn its_proc_is_read_only(evidence: &Evidence) -> Checked {
    its_proc_is_its_own(evidence)?;
    let command = evidence.command()?;
    let seen = format!("the proc file system at /proc/{}/root/proc can be written to", command.pid());
    require!(command.proc == ProcView::Own { read_only: true }, ProcWritable, "ro", "{seen}");
    // At /proc, only the mount that is visible counts, and that is the one above.
    let writable = |it: &&Mount| it.kind == "proc" && !it.is_read_only() && it.point != Path::new("/proc");
    if let Some(mount) = command.own_mounts.iter().find(writable) {
        let seen =
            format!("the proc file system at /proc/{}/root{} can be written to", command.pid(), mount.point.display());
        return Err(fail!(ProcSysWritable, "every mount of proc in it is read-only", "{seen}"));
    }
    if command.early.proc == Some(ProcView::Own { read_only: false }) {
        let seen = "when the command started, /proc could be written to; it was made read-only only later";
        return Err(fail!(Late, "read-only before the command starts", "{seen}"));
    }
    Ok(())
}

pub fn no_mount_is_left(evidence: &Evidence) -> Checked {
    let place = |mount: &Mount| format!("on the host, a {} file system at {}", mount.kind, mount.point.display());
    let gone = evidence.changes.mounts_gone.first().map(|mount| format!("no longer {}", place(mount)));
    if let Some(seen) = evidence.changes.mounts_left.first().map(place).or(gone) {
        return Err(fail!(MountsLeft, "the mounts that were there before", "{seen}"));
    }
    let meanwhile = evidence.observation.as_ref().and_then(|it| it.on_the_host.first());
    let Some(seen) = meanwhile.map(|mount| format!("while the command ran, {}", place(mount))) else { return Ok(()) };
    Err(fail!(MountedOnTheHost, "nothing: only the container sees its mounts", "{seen}"))
}
