//! An attack: it is COMMAND in a container, and is to start what it is told with the host's `/`. So far it starts it where it
//! is. From here on it is yours.
//!
//!     cargo xtask check escape

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> io::Result<()> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let [program, args @ ..] = args.as_slice() else {
        return Err(io::Error::other("usage: escape COMMAND [ARG...]"));
    };
    Err(Command::new(program).args(args).exec())
}
