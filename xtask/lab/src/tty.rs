//! The terminal's foreground process group, as a shell without job control leaves and finds it.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};

/// Waits, as a shell does, until this process is in the terminal's foreground. In a new PID namespace a shell can't do that:
/// there, its own process group and that of the foreground are both 0, and it would take the terminal away from another.
pub fn wait_for_foreground() {
    while tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
        // Stops us, until `fg`.
        if killpg(getpgrp(), Signal::SIGTTIN).is_err() {
            return;
        }
    }
}

/// Takes the terminal back if an interactive shell that ended left it to its own, now dead, process group. A terminal that
/// belongs to a dead group fails every read with EIO.
pub fn take_back() {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| killpg(group, None) == Err(Errno::ESRCH)) {
        // We ask from the background, which stops the asker (SIGTTOU) unless it blocks that.
        let _ = SigSet::from(Signal::SIGTTOU).thread_block();
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
}
