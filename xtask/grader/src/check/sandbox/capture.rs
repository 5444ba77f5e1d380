//! What a program writes.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;

use anyhow::Result;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The number of bytes that a program may write.
pub const MOST_OUTPUT: u64 = 16 << 20;
/// The number of them that are kept.
const KEPT_OUTPUT: usize = 64 << 10;

/// A pipe that the program writes to, and the beginning of what it wrote.
#[derive(Debug)]
pub struct Capture {
    pipe: PipeReader,
    kept: Vec<u8>,
    total: u64,
}

impl Capture {
    pub fn new(pipe: PipeReader) -> Result<Capture> {
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Capture { pipe, kept: Vec::new(), total: 0 })
    }

    /// Reads what is available, within limits, because a program may write faster than this reads. Returns the total.
    pub fn read(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 16 << 10];
        for _ in 0..16 {
            match self.pipe.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => {
                    self.total += length as u64;
                    let room = KEPT_OUTPUT.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&bytes[..length.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.total)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}
