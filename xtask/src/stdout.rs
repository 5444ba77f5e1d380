//! stdout, for as long as somebody reads it: `cargo xtask compare | head`. println! panics when nobody does.

use std::io::{self, Write};

use anyhow::{Context, Result};

/// Writes `text`. That whoever reads has read enough is no error.
///
/// # Errors
/// Those of write(2), but for EPIPE.
pub fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    // What does not end a line would be kept, and come after what others write.
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write(1)"),
    }
}
