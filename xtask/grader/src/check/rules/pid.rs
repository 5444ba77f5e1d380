//! Exercise `pid`: a PID namespace and a mount namespace of its own, and nothing left when it ends.

use super::*;

pub fn it_has_a_pid_namespace(evidence: &Evidence<'_>) -> Checked {
    let command = evidence.command()?;
    let pid = command.pid();
    if command.new.contains(&"pid") {
        return Ok(());
    }
    if command.children_elsewhere {
        let expected = "the command is a child that was born after unshare";
        let seen = format!("/proc/{pid}/ns/pid is the host's, and /proc/{pid}/ns/pid_for_children is another");
        return Err(fail!(NoFork, expected, "{seen}"));
    }
    let seen = format!("/proc/{pid}/ns/pid is the host's: its only number is {pid}");
    Err(fail!(NoPidNamespace, "a PID namespace of its own", "{seen}"))
}

pub fn it_has_a_mount_namespace(evidence: &Evidence<'_>) -> Checked {
    let command = evidence.command()?;
    let (has, expected) = (command.new.contains(&"mnt"), "a mount namespace of its own");
    require!(has, NoMountNamespace, expected, "/proc/{}/ns/mnt is the host's", command.pid());
    Ok(())
}

pub fn nothing_is_left_running(evidence: &Evidence<'_>) -> Checked {
    let lines: Vec<_> = evidence.processes_left.iter().map(|it| format!("{} {}", it.pid, it.line())).collect();
    require!(lines.is_empty(), ProcessesLeft, "no process", "still there: {}", shorten(&lines.join("; ")));
    Ok(())
}
