//! The exercise without rights: a user namespace of its own.

use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::{Checked, judge, must};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{Exam, Setting};
use crate::check::look::{Judged, Look, look_with, maps_root, not_mapped, shorten};
use crate::check::rules;
use crate::check::said::Said;
use crate::check::verdict::{Verdict, fail, require};
use crate::{catalog, privilege};

/// Becomes what follows, in the user namespace that unshare(1) has made, and says first which that is.
const SAY_WHICH: [&str; 4] = ["sh", "-c", r#"readlink /proc/self/ns/user >&2 && exec "$@""#, "sh"];

/// An ordinary user: who has no capability, and numbers that no source names. So it is in a user namespace around the program's
/// own, for on the host itself we have no other numbers to give. The two differ, for who takes one for the other.
struct User {
    uid: String,
    /// unshare(1) and its words.
    unshare: [String; 4],
}

impl User {
    fn new() -> User {
        let number = std::process::id() % 10_000;
        let (uid, gid) = ((20_000 + number).to_string(), 40_000 + number);
        let words = ["unshare".into(), "--user".into(), format!("--map-user={uid}"), format!("--map-group={gid}")];
        User { uid, unshare: words }
    }

    /// Before the program.
    fn around(&self) -> Vec<&str> {
        self.unshare.iter().map(String::as_str).chain(SAY_WHICH).collect()
    }

    /// Is that the map of the user namespace around the program?
    fn is_map_around(&self, uid_map: &str) -> bool {
        uid_map.split_whitespace().next() == Some(&self.uid)
    }

    /// Why nobody can make a user namespace on this host without rights, if so: it is tried.
    fn refuses_user_namespace(&self) -> Option<String> {
        let mut command = Command::new(&self.unshare[0]);
        command.args(&self.unshare[1..]).args(["unshare", "--user", "--map-root-user", "true"]);
        let line = format!("{command:?}").replace('"', "");
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!("`{line}`: {}", shorten(&String::from_utf8_lossy(&output.stderr)))),
            Err(error) => Some(format!("`{line}`: {error}")),
        }
    }
}

/// What is seen of user namespaces while the command waits.
#[derive(Default)]
struct Seen {
    uid_map: String,
    gid_map: String,
    /// The command's, and that of `run`, as readlink(1) says them.
    command: String,
    run: String,
}

/// Exercise `rootless`: does the program do all of the steps without a right on the host?
pub fn it_needs_no_rights(exam: &Exam) -> Checked {
    let user = User::new();
    if privilege::on_path("unshare").is_none() {
        let cure = "It is of util-linux: `sudo apt install util-linux`.".into();
        return Ok(Verdict::CannotRun { why: "there is no unshare(1)".into(), cure });
    }
    if let Some(why) = user.refuses_user_namespace() {
        let cure = "`cargo xtask doctor` says what this machine allows; `--map-user` takes util-linux 2.34.".into();
        return Ok(Verdict::CannotRun { why, cure });
    }
    let steps: Vec<_> = catalog::exercises()?.iter().filter(|it| it.is_step()).collect();
    let steps = rules::on_look(&steps)?;
    let setting = Setting { around: &user.around(), watch_setgroups: true, ..Setting::default() };
    let (mut look, seen) = look_with(exam, &setting, |it| {
        let pid = it.command.pid;
        let map = |name| exam.host.read(pid, name).map(|map| String::from_utf8_lossy(&map).into_owned());
        let namespace = |pid| exam.host.link(pid, "ns/user").map(|it| it.to_string_lossy().into_owned());
        // Whom the examiner has started has no parent on the host.
        let run = exam.guests()?.into_iter().find(|it| it.parent == 0);
        let run = run.and_then(|it| namespace(it.pid).ok()).unwrap_or_default();
        Ok(Seen { uid_map: map("uid_map")?, gid_map: map("gid_map")?, command: namespace(pid)?, run })
    })?;
    let around = match look.stderr.split_once('\n') {
        Some((around, said)) if around.starts_with("user:[") => {
            let (around, said) = (around.to_owned(), said.to_owned());
            look.stderr = said;
            around
        }
        _ => String::new(),
    };
    judge(|| {
        let Some(sighting) = &look.sighting else { return Err(no_sighting(&look, &user)) };
        let pid = sighting.command.pid;
        if seen.command == around || !sighting.new.contains(&"user") {
            let seen = format!("/proc/{pid}/ns/user is the one that `run` was started in");
            return Err(fail(Diagnosis::NoUserNamespace, seen, "a user namespace of its own").into());
        }
        if !maps_root(&seen.uid_map) || !maps_root(&seen.gid_map) {
            return Err(not_mapped(&format!("process {pid}"), &seen.uid_map, &seen.gid_map).into());
        }
        must(groups_are_denied(&look, seen.run != around))?;
        for rule in &steps {
            must(rule(&look))?;
        }
        Ok(Verdict::Pass)
    })
}

/// Did the program write to `setgroups`? That is seen only of one that has moved itself: a child that does it is another process.
fn groups_are_denied(look: &Look, has_moved: bool) -> Judged {
    Ok(require(!has_moved || look.wrote_setgroups != Some(false), || {
        let seen = "`run` made a user namespace, and wrote nothing to its /proc/self/setgroups";
        fail(Diagnosis::GroupsNotDenied, seen, "`deny`, before gid_map is written")
    }))
}

/// The verdict on a program whose command was never there, though it is when the program has the rights.
fn no_sighting(look: &Look, user: &User) -> Verdict {
    let said = shorten(&look.stderr);
    let words = Said::new(&look.stderr);
    match &look.remains {
        // Who maps each number to itself has the same map in one of its own, and has written there before.
        Some(it) if user.is_map_around(&it.uid_map) && look.wrote_setgroups == Some(true) => {
            let seen = format!("without a capability, `run` ended, and said on stderr: {said}");
            not_mapped(&seen, &it.uid_map, &it.gid_map).into()
        }
        Some(it) if user.is_map_around(&it.uid_map) => {
            let seen = format!(
                "without a capability, it ended in the user namespace that it was started in; on stderr: {said}"
            );
            fail(Diagnosis::NoUserNamespace, seen, "a user namespace of its own, and the command in it").into()
        }
        Some(it)
            if words.names(Errno::EPERM)
                && words.has("_map")
                && !(maps_root(&it.uid_map) && maps_root(&it.gid_map)) =>
        {
            let seen = format!("it was started with uid and gid that no source names, and said on stderr: {said}");
            let expected = format!("for uid_map `0 {} 1`, and for gid_map its own number likewise", user.uid);
            fail(Diagnosis::MapRefused, seen, expected).into()
        }
        _ => look.sighting().err().unwrap_or(Verdict::Pass),
    }
}
