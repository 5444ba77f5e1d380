//! The exercise that attacks: here the learner's program is a COMMAND in a container of step 4's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use super::{Checked, judge};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{Exam, STEP, Setting};
use crate::check::look::{Look, look_with, shorten};
use crate::check::verdict::{Verdict, fail, require};

/// Where the attack lies, as the container names it.
const PLACE: &str = "/tmp/escape";

/// Exercise `escape`: is what the attack starts outside?
pub fn the_attack_gets_out(exam: &Exam) -> Checked {
    let [attack] = exam.program() else {
        let seen = format!("{} words", exam.program().len());
        return Ok(fail(Diagnosis::NotAProgram, seen, "one file, which is put into the rootfs").into());
    };
    exam.on_path(STEP).with_context(|| format!("there is no {STEP}: `cargo build` makes it"))?;
    let tmp = exam.folder().join("rootfs/tmp");
    exam.mount_tmpfs(&tmp)?;
    let copy = tmp.join("escape");
    if let Err(error) = fs::copy(attack, &copy) {
        let seen = format!("{}: {error}", Path::new(attack).display());
        return Ok(fail(Diagnosis::NotAProgram, seen, "a program that can be executed").into());
    }
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).context("chmod")?;

    let setting = Setting { attack: Some(PLACE), ..Setting::default() };
    let (look, ()) = look_with(exam, &setting, |_| Ok(()))?;
    let said = shorten(&look.stderr);
    // It is there: so what is not there is what the kernel would start it with. And if that is there, as in a rootfs made of
    // this machine's programs, it may miss a library; glibc's and musl's words have this much in common.
    let misses_loader = look.stderr.contains(&format!("execve({PLACE:?}): ENOENT"));
    if look.sighting.is_none() && (misses_loader || look.stderr.contains("loading shared librar")) {
        let seen = format!("on stderr: {said}");
        return Ok(fail(Diagnosis::NotStatic, seen, "a statically linked program, which runs in any rootfs").into());
    }
    if look.sighting.is_none() && look.stderr.contains(&format!("execve({PLACE:?})")) {
        return Ok(fail(Diagnosis::NotAProgram, format!("on stderr: {said}"), "a program that can be executed").into());
    }
    judge(|| {
        let sighting = look.sighting().map_err(|verdict| of_an_attack(&look, verdict))?;
        Ok(require(sighting.root.0 == look.host_root, || {
            let whose =
                if Some(sighting.root.0) == look.rootfs { "./rootfs" } else { "neither ./rootfs nor the host's" };
            let seen = format!("/proc/{}/root is {whose}", sighting.command.pid);
            fail(Diagnosis::NoEscape, seen, "the host's `/`")
        }))
    })
}

/// The verdict on an attack whose COMMAND was never seen. The usual one takes it for a program that makes a container.
fn of_an_attack(look: &Look, verdict: Verdict) -> Verdict {
    let Verdict::Fail(mut failure) = verdict else { return verdict };
    failure.seen = failure.seen.replacen("`run` ended", "the attack ended", 1);
    let text = look.stderr.to_lowercase();
    let names_another = ["chdir", "mkdir", "chroot"].iter().any(|call| text.contains(call));
    failure.diagnosis = match failure.diagnosis {
        // Of the attack's root nothing is left to look at.
        _ if (text.contains("enoent") || text.contains("no such file")) && !names_another => Diagnosis::NoShellThere,
        // These are about the making of a container.
        Diagnosis::ChdirBeforeChroot
        | Diagnosis::SelfGone
        | Diagnosis::NothingToMountOn
        | Diagnosis::NotAMountPoint
        | Diagnosis::NoContract => Diagnosis::NeverRan,
        other => other,
    };
    failure.into()
}
