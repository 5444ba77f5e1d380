//! Exercise `memory`: a cgroup that limits memory, and what the kernel does when the limit is reached.

use std::os::unix::process::ExitStatusExt;

use super::limits::{it_is_limited, no_cgroup_is_left};
use super::*;
use crate::check::sandbox::cgroups::Controller;

const FLAG: &str = "--memory";
/// The status of a command that the kernel has killed, as a shell reports it.
const KILLED: i32 = 128 + Signal::SIGKILL as i32;
/// A command that doubles a variable until it is `$1` bytes long.
const HOG: &str = "x=0123456789abcdef; while [ ${#x} -lt $1 ]; do x=$x$x; done; echo $0";

/// Draws a number of bytes that is enough for an interpreter, and a multiple of 64 KiB, because version 1 rounds to pages.
fn limit(sandbox: &Sandbox) -> u64 {
    u64::from(768 + 2 * sandbox.draw.number(0, 127) + 1) << 16
}

pub fn its_memory_is_limited(sandbox: &Sandbox) -> Checked {
    it_is_limited(sandbox, Controller::Memory, FLAG, limit(sandbox))
}

/// A command that touches more than the limit is killed, and `run` reports that.
pub fn what_takes_more_is_killed(sandbox: &Sandbox) -> Checked {
    sandbox.cgroups.of(Controller::Memory)?;
    let (limit, word) = (limit(sandbox), sandbox.draw.word());
    let invocation = Invocation { flags: &[FLAG, &limit.to_string()], ..Default::default() };
    let mut run = sandbox.start(&invocation, &["sh", "-c", HOG, &word, &(3 * limit).to_string()])?;
    run.end_input();
    let status = run.wait()?;
    let seen = format!("with `{FLAG} {limit}`, a command asked for {} bytes, and `run` ended with ", 3 * limit);
    let expected = format!("the command killed by the kernel, and status {KILLED}");
    let has_all = run.stdout().contains(&word);
    require!(!has_all, LimitTooHigh, expected, "{seen}{}", describe(status));
    if status.code() == Some(KILLED) {
        return no_cgroup_is_left(&run.changes()?, "the kernel killed the command");
    }
    let said = shorten(&run.stderr());
    if status.signal() == Some(Signal::SIGKILL as i32) {
        return Err(fail!(RunKilled, expected, "{seen}{}", describe(status)));
    }
    Err(fail!(SignalLost, expected, "{seen}{}; on stderr: {said}", describe(status)))
}
