//! What the program gets as stdin: a pipe, a socket or a terminal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::check::draw::Draw;

/// Ctrl-D, which a terminal treats as the end of input at the beginning of a line. Each ends only one read(2).
const END: &[u8] = b"\x04\x04\x04\x04\x04\x04\x04\x04";

/// Our end of the program's stdin.
#[derive(Debug)]
pub struct Input {
    /// `None` once the input has ended. A terminal stays open.
    writer: Option<File>,
    is_terminal: bool,
}

impl Input {
    /// Draws a kind, and returns our end and the program's.
    pub fn draw(draw: &Draw) -> Result<(Input, OwnedFd)> {
        let (writer, reader, is_terminal): (OwnedFd, OwnedFd, bool) = match draw.number(0, 2) {
            0 => io::pipe().map(|(reader, writer)| (writer.into(), reader.into(), false)).context("pipe")?,
            1 => UnixStream::pair().map(|(ours, theirs)| (ours.into(), theirs.into(), false)).context("socketpair")?,
            // A container may not have terminals.
            _ => match terminal() {
                Ok((ours, theirs)) => (ours, theirs, true),
                Err(_) => io::pipe().map(|(reader, writer)| (writer.into(), reader.into(), false)).context("pipe")?,
            },
        };
        for fd in [&writer, &reader] {
            fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).context("fcntl(F_SETFD)")?;
        }
        // The program may fill it through /proc/self/fd/0, which must not block us.
        fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("fcntl(F_SETFL)")?;
        Ok((Input { writer: Some(writer.into()), is_terminal }, reader))
    }

    /// Writes to the program's stdin. Ignores the error if no process reads it.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Some(writer) = &mut self.writer {
            // Rust ignores SIGPIPE, so a closed pipe is an error, and so is a full one. Otherwise a few bytes always fit.
            let _ = writer.write_all(bytes);
        }
    }

    /// Ends the input.
    pub fn end(&mut self) {
        match self.is_terminal {
            true => self.write(END),
            false => self.writer = None,
        }
    }
}

/// Returns both ends of a terminal that doesn't show what is typed.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let terminal = openpty(None, None).context("openpty")?;
    let mut settings = tcgetattr(&terminal.slave).context("tcgetattr")?;
    settings.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&terminal.slave, SetArg::TCSANOW, &settings).context("tcsetattr")?;
    Ok((terminal.master, terminal.slave))
}
