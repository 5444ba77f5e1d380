//! Exercise `proc`: a /proc of its own, read-only, and no mount left when it ends.

use std::path::Path;

use super::*;

pub fn its_proc_is_its_own(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let pid = command.pid();
    let expected = "a proc file system that shows the command's PID namespace";
    match command.proc {
        ProcView::Own { .. } => return Ok(()),
        ProcView::Foreign => {
            let seen = format!("/proc/{pid}/root/proc shows a PID namespace other than the command's");
            return Err(fail!(ProcOfTheHost, expected, "{seen}"));
        }
        ProcView::None => {}
    }
    let procs = |mounts: &[Mount]| mounts.iter().filter(|it| it.kind == "proc").cloned().collect::<Vec<_>>();
    let (inside, hosts) = (procs(&command.mounts), procs(&evidence.host.mounts));
    let seen = format!("/proc/{pid}/root/proc is not a proc file system");
    let is_new = command.root.0 != evidence.host.root && inside.len() > hosts.len();
    require!(is_new, ProcNotMounted, expected, "{seen}");
    if let Some(place) = inside.iter().find_map(|mount| mount.point.strip_prefix(&command.root.1).ok()) {
        return Err(fail!(ProcNotMounted, expected, "{seen}; one is mounted at /{}", place.display()));
    }
    Err(fail!(ProcBeforeChroot, expected, "{seen}; a new one is mounted elsewhere in the command's mount namespace"))
}

pub fn its_proc_is_read_only(evidence: &Evidence) -> Checked {
    its_proc_is_its_own(evidence)?;
    let command = evidence.command()?;
    let seen = format!("the proc file system at /proc/{}/root/proc is writable", command.pid());
    require!(command.proc == ProcView::Own { read_only: true }, ProcWritable, "a read-only mount", "{seen}");
    // At /proc only the visible mount counts, and it is checked above.
    let writable = |it: &&Mount| it.kind == "proc" && !it.is_read_only() && it.point != Path::new("/proc");
    if let Some(mount) = command.own_mounts.iter().find(writable) {
        let seen = format!("the proc file system at /proc/{}/root{} is writable", command.pid(), mount.point.display());
        return Err(fail!(ProcSysWritable, "every proc mount in the container read-only", "{seen}"));
    }
    if command.early.proc == Some(ProcView::Own { read_only: false }) {
        let seen = "/proc was writable when the command started, and became read-only later";
        return Err(fail!(Late, "a read-only /proc before the command starts", "{seen}"));
    }
    Ok(())
}

pub fn no_mount_is_left(evidence: &Evidence) -> Checked {
    let place = |mount: &Mount| format!("a {} file system at {} on the host", mount.kind, mount.point.display());
    let gone = evidence.changes.mounts_gone.first().map(|mount| format!("no longer mounted: {}", place(mount)));
    let left = evidence.changes.mounts_left.first().map(|mount| format!("still mounted: {}", place(mount)));
    if let Some(seen) = left.or(gone) {
        return Err(fail!(MountsLeft, "the host's mounts unchanged", "{seen}"));
    }
    let meanwhile = evidence.observation.as_ref().and_then(|it| it.on_the_host.first());
    let Some(seen) = meanwhile.map(|mount| format!("mounted while the command ran: {}", place(mount))) else {
        return Ok(());
    };
    Err(fail!(MountedOnTheHost, "mounts that only the container sees", "{seen}"))
}
