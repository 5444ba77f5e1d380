//! `--watch`: something is shown again and again, until the end of stdin.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use lab::output;

/// Returns what becomes true at the end of stdin, which a person causes by Ctrl-D.
pub(crate) fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        at_end.store(true, Ordering::Relaxed);
    });
    ended
}

/// Clears a terminal, and goes to its top.
pub(crate) fn clear() -> Result<()> {
    if io::stdout().is_terminal() { output::write("\x1b[2J\x1b[H") } else { Ok(()) }
}
