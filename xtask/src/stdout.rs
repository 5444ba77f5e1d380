//! stdout, for as long as somebody reads it: `cargo xtask compare | head`. println! panics when nobody does.

use std::io::{self, Write};

use anyhow::{Context, Result};

/// Writes `text`. That whoever reads has read enough is no error.
///
/// # Errors
/// Those of write(2), but for EPIPE.
pub fn write(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write(1)"),
    }
}
