//! Exercise `sys`: a read-only /sys that shows its own network namespace.

use super::veth::it_has_a_network_namespace;
use super::view::{self, View};
use super::*;

const SYS: &str = "/sys";
const FLAGS: [&str; 3] = ["nosuid", "nodev", "noexec"];

/// /sys shows the network namespace that the command is in.
pub fn its_sys_is_its_own(sandbox: &Sandbox) -> Checked {
    let (evidence, view) = observe_more(sandbox, &Invocation::default(), |command| {
        view::of(sandbox, command, SYS, "sysfs", "ns/net").map(Some)
    })?;
    let pid = evidence.command()?.pid();
    let expected = "a sysfs that shows the command's network namespace";
    match view {
        Some(View::Foreign) => {
            let seen = format!("/proc/{pid}/root{SYS} shows a namespace other than /proc/{pid}/ns/net");
            Err(fail!(ForeignSysfs, expected, "{seen}"))
        }
        Some(View::None { seen }) => {
            it_has_a_network_namespace(&evidence)?;
            Err(fail!(NoSysfs, expected, "{seen}"))
        }
        // The host's own sysfs shows the host's namespace, which the command is in.
        Some(View::Own) | None if it_has_a_network_namespace(&evidence).is_err() => {
            Err(fail!(ForeignSysfs, expected, "/proc/{pid}/ns/net is the host's, and /proc/{pid}/root{SYS} shows it"))
        }
        Some(View::Own) | None => Ok(()),
    }
}

pub fn its_sys_is_read_only(sandbox: &Sandbox) -> Checked {
    let evidence = observe_as(sandbox, &Invocation::default())?;
    let command = evidence.command()?;
    let pid = command.pid();
    let all: Vec<_> = command.own_mounts.iter().filter(|it| it.kind == "sysfs").collect();
    if let Some(writable) = all.iter().find(|it| !it.is_read_only()) {
        let seen = format!("the sysfs at /proc/{pid}/root{} is writable", writable.point.display());
        return Err(fail!(SysWritable, "a read-only sysfs", "{seen}"));
    }
    let lacks = |mount: &&&Mount| FLAGS.iter().any(|flag| !mount.has_option(flag));
    if let Some(mount) = all.iter().find(lacks) {
        let seen =
            format!("the sysfs at /proc/{pid}/root{} is mounted with only {}", mount.point.display(), mount.options);
        return Err(fail!(SysFlags, format!("ro,{}", FLAGS.join(",")), "{seen}"));
    }
    Ok(())
}
