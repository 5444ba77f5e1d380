//! The exercise without rights: a user namespace of its own.

use std::process::{Command, Stdio};

use super::{Checked, judge, must};
use crate::check::How;
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{Exam, Setting};
use crate::check::look::{Judged, Look, look_with, maps_root, not_mapped, shorten};
use crate::check::proc::Pid;
use crate::check::verdict::{Verdict, fail, require};
use crate::{exercises, privilege};

/// Starts what follows without any capability that makes a namespace, or changes one. CAP_SETFCAP alone is left, for since
/// Linux 5.12 a user namespace whose root is the one outside takes that: user_namespaces(7).
const POWERLESS: [&str; 2] = ["setpriv", "--bounding-set=-all,+setfcap"];

/// Exercise 14: does the program do all of the steps without a right on the host?
pub fn it_needs_no_rights(exam: &Exam) -> Checked {
    if privilege::on_path(POWERLESS[0]).is_none() {
        let cure = "It is of util-linux: `sudo apt install util-linux`.".into();
        return Ok(Verdict::CannotRun { why: "there is no setpriv(1)".into(), cure });
    }
    let setting = Setting { around: &POWERLESS, watch_setgroups: true, ..Setting::default() };
    let maps = |pid: Pid| {
        let map = |name| exam.host.read(pid, name).map(|map| String::from_utf8_lossy(&map).into_owned());
        Ok((map("uid_map")?, map("gid_map")?))
    };
    let (look, (uid_map, gid_map)) = look_with(exam, &setting, |it| maps(it.command.pid))?;
    judge(|| {
        let Some(sighting) = &look.sighting else { return Err(no_sighting(&look)) };
        let pid = sighting.command.pid;
        if !sighting.new.contains(&"user") {
            let seen = format!("/proc/{pid}/ns/user is the host's");
            return Err(fail(Diagnosis::NoUserNamespace, seen, "a user namespace of its own").into());
        }
        if !maps_root(&uid_map) || !maps_root(&gid_map) {
            return Err(not_mapped(&format!("process {pid}"), &uid_map, &gid_map).into());
        }
        must(groups_are_denied(&look))?;
        for exercise in exercises::ALL.iter().filter(|it| exercises::STEPS.contains(&it.id)) {
            for check in exercise.checks {
                if let How::Look(judge) = check.how {
                    must(judge(&look))?;
                }
            }
        }
        Ok(Verdict::Pass)
    })
}

/// Did the program write to `setgroups`? That is seen only of one that has moved itself: a child that does it is another process.
/// (Where it is not denied already, as on a root's own host, gid_map is refused.)
fn groups_are_denied(look: &Look) -> Judged {
    let has_moved = look.remains.as_ref().is_some_and(|it| !it.in_hosts_user_namespace);
    Ok(require(!has_moved || look.wrote_setgroups != Some(false), || {
        let seen = "`run` made a user namespace, and wrote nothing to its /proc/self/setgroups";
        fail(Diagnosis::GroupsNotDenied, seen, "`deny`, before gid_map is written")
    }))
}

/// The verdict on a program whose command was never there, though it is when the program has the rights.
fn no_sighting(look: &Look) -> Verdict {
    if let Some(why) = refuses_user_namespace() {
        let cure = "`cargo xtask doctor` says what this machine allows.".into();
        return Verdict::CannotRun { why, cure };
    }
    if look.remains.as_ref().is_some_and(|it| it.in_hosts_user_namespace) {
        let said = shorten(&look.stderr);
        let seen = format!("without a capability, it ended in the host's user namespace; on stderr: {said}");
        return fail(Diagnosis::NoUserNamespace, seen, "a user namespace of its own, and the command in it").into();
    }
    look.sighting().err().unwrap_or(Verdict::Pass)
}

/// Why nobody can make a user namespace on this host without rights, if so: it is tried.
fn refuses_user_namespace() -> Option<String> {
    let mut command = Command::new(POWERLESS[0]);
    command.args(&POWERLESS[1..]).args(["unshare", "--user", "--map-root-user", "true"]);
    let line = format!("{command:?}").replace('"', "");
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("`{line}`: {}", shorten(&String::from_utf8_lossy(&output.stderr)))),
        Err(error) => Some(format!("`{line}`: {error}")),
    }
}
