//! What takes long. The everyday run of `cargo xtask test` leaves out the tests that are marked `#[ignore]`.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod corpus;
mod hostile;

/// Held while programs are graded: a fork bomb, or 64 checks at once, would leave another test's programs no time.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test that grades many programs is grading.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
