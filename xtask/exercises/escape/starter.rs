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
    // Here. Name each call in its error, as below: what the kernel says is mostly "No such file or directory".

    let error = Command::new(program).args(args).exec();
    Err(io::Error::other(format!("execve({program:?}): {error}")))
}
