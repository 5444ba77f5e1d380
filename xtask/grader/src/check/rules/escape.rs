//! Exercise `escape`: the program is an attack, the COMMAND in a container that step 4 creates.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::check::sandbox::find_program;

/// The program that creates the container, by its name on the PATH.
const STEP: &str = "step04-proc";

/// The attack's path in the container.
const PLACE: &str = "/tmp/escape";

/// The command that the attack starts is outside the container.
pub fn the_attack_gets_out(sandbox: &Sandbox) -> Checked {
    let [attack] = sandbox.program.as_slice() else {
        let expected = "one file, which is copied into the rootfs";
        return Err(fail!(NotAProgram, expected, "{} words", sandbox.program.len()));
    };
    find_program(&sandbox.environment, STEP).with_context(|| format!("there is no {STEP}: run `cargo build`"))?;
    // The rootfs is covered by an overlay, so the copy is gone afterwards.
    let copy = sandbox.directory.join("rootfs").join(&PLACE[1..]);
    let executable = "an executable program";
    fs::copy(attack, &copy)
        .map_err(|error| fail!(NotAProgram, executable, "{}: {error}", Path::new(attack).display()))?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).context("chmod")?;
    let evidence = observe_as(sandbox, &Invocation { program: Some(STEP), flags: &[PLACE], ..Default::default() })?;
    let Ok(command) = evidence.command() else { return Err(why_it_never_ran(&evidence)) };
    let whose = if Some(command.root.0) == sandbox.rootfs { "./rootfs" } else { "neither ./rootfs nor the host's `/`" };
    let seen = format!("/proc/{}/root is {whose}", command.pid());
    require!(command.root.0 == sandbox.root, NoEscape, "the host's `/`", "{seen}");
    Ok(())
}

/// Returns the failure of an attack whose COMMAND never ran. The usual failure is about a program that creates a container.
fn why_it_never_ran(evidence: &Evidence) -> Error {
    let stderr = &evidence.stderr;
    let said = shorten(stderr);
    // The attack exists, so what is missing is its loader. If the loader exists, as in a rootfs made from this machine's
    // programs, a library may be missing, which glibc and musl report in these words.
    let misses_loader = stderr.contains(&format!("execve({PLACE:?}): ENOENT"));
    if misses_loader || stderr.contains("loading shared librar") {
        return fail!(NotStatic, "a statically linked program, which runs in any rootfs", "on stderr: {said}");
    }
    if stderr.contains(&format!("execve({PLACE:?})")) {
        return fail!(NotAProgram, "an executable program", "on stderr: {said}");
    }
    let mut failure = match evidence.command() {
        Err(Error::Verdict(Verdict::Fail(failure))) => failure,
        Err(other) => return other,
        Ok(_) => unreachable!("the command never ran"),
    };
    failure.seen = failure.seen.replacen("`run` ended", "the attack ended", 1);
    let words = Stderr::new(stderr);
    let misses_a_file = words.has("enoent") || words.has("no such file") || words.has("not found in $path");
    let names_another = ["chdir", "mkdir", "chroot"].iter().any(|call| words.has(call));
    failure.diagnosis = match failure.diagnosis {
        // The attack's root can't be observed any more.
        _ if misses_a_file && !names_another => Diagnosis::NoShellThere,
        // These are about creating a container.
        Diagnosis::ChdirBeforeChroot
        | Diagnosis::SelfGone
        | Diagnosis::NothingToMountOn
        | Diagnosis::NotAMountPoint
        | Diagnosis::NoContract => Diagnosis::NeverRan,
        other => other,
    };
    Error::Verdict(Verdict::Fail(failure))
}
