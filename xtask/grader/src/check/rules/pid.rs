//! Exercise `pid`: a PID namespace and a mount namespace of its own, and nothing left when it ends.

use super::*;

pub fn it_has_a_pid_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let pid = command.pid();
    if command.new.contains(&"pid") {
        return Ok(());
    }
    if command.children_elsewhere {
        let expected = "the command in a child created after unshare";
        let seen = format!("/proc/{pid}/ns/pid is the host's, but /proc/{pid}/ns/pid_for_children is not");
        return Err(fail!(NoFork, expected, "{seen}"));
    }
    let seen = format!("/proc/{pid}/ns/pid is the host's; the command's only PID is {pid}");
    Err(fail!(NoPidNamespace, "a PID namespace of its own", "{seen}"))
}

pub fn it_has_a_mount_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (has, expected) = (command.new.contains(&"mnt"), "a mount namespace of its own");
    require!(has, NoMountNamespace, expected, "/proc/{}/ns/mnt is the host's", command.pid());
    for kind in ["uts", "mnt"] {
        let hosts = evidence.host.namespaces.get(kind);
        let stray = |it: &&Task| it.is_thread() && it.namespaces.get(kind) == hosts;
        if let Some(thread) = command.tasks.iter().find(stray) {
            let seen = format!("{}/ns/{kind} is the host's", thread.path());
            return Err(fail!(ThreadOutside, "every thread in the container's namespaces", "{seen}"));
        }
    }
    Ok(())
}

pub fn nothing_is_left_running(evidence: &Evidence) -> Checked {
    let lines =
        |all: &[Process]| all.iter().map(|it| format!("{} {} {}", it.pid, it.state, it.line())).collect::<Vec<_>>();
    let gone = lines(&evidence.changes.processes_gone);
    let seen = format!("gone from the host: {}", gone.join("; "));
    require!(gone.is_empty(), KilledOnTheHost, "all of the host's processes alive", "{seen}");
    let lines = lines(&evidence.changes.processes_left);
    require!(lines.is_empty(), ProcessesLeft, "no process left", "still there: {}", shorten(&lines.join("; ")));
    Ok(())
}
