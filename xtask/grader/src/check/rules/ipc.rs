//! Exercise `ipc`: System V and POSIX message queues of its own.

use super::view::{self, View};
use super::*;

const MQUEUE: &str = "/dev/mqueue";

pub fn it_has_an_ipc_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (has, expected) = (command.new.contains(&"ipc"), "an IPC namespace of its own");
    let has_mqueue = command.own_mounts.iter().any(|it| it.kind == "mqueue");
    let seen = format!("/proc/{}/ns/ipc is the host's, and so is the mounted mqueue", command.pid());
    require!(has || !has_mqueue, ForeignMqueue, expected, "{seen}");
    require!(has, NoIpcNamespace, expected, "/proc/{}/ns/ipc is the host's", command.pid());
    Ok(())
}

/// /dev/mqueue shows the command's IPC namespace.
pub fn its_queues_are_in_dev_mqueue(sandbox: &Sandbox) -> Checked {
    view::can_be_mounted(sandbox, "mqueue")?;
    let (evidence, view) = observe_more(sandbox, &Invocation::default(), |command| {
        view::of(sandbox, command, MQUEUE, "mqueue", "ns/ipc").map(Some)
    })?;
    it_has_an_ipc_namespace(&evidence)?;
    let expected = "an mqueue file system that shows the command's IPC namespace";
    match view {
        Some(View::None { seen }) => return Err(fail!(NoMqueue, expected, "{seen}")),
        Some(View::Foreign) => {
            let pid = evidence.command()?.pid();
            let seen = format!("/proc/{pid}/root{MQUEUE} shows a namespace other than /proc/{pid}/ns/ipc");
            return Err(fail!(ForeignMqueue, expected, "{seen}"));
        }
        Some(View::Own) | None => {}
    }
    super::dev::nothing_stays_in_dev(&evidence)
}
