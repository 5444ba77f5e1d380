//! For tests: a throwaway host on which to show the escape from a chroot, `step03-chroot/examples/escape.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use lab::workspace;

use crate::host::Host;

/// What a person types first: it puts a file on the host, and the program where the container finds it.
///
/// All of it vanishes with the throwaway host, including what is below rootfs/, which is a tmpfs. The program is linked statically,
/// because a rootfs may not have our C library. That needs a libc.a: on Debian it comes with the linker, on Fedora with
/// glibc-static.
pub const SET_UP: [&str; 4] = [
    "mount -t tmpfs tmpfs /mnt",
    "echo 'only the host has this' >/mnt/secret",
    "mount -t tmpfs tmpfs rootfs/tmp",
    "rustc -C target-feature=+crt-static -o rootfs/tmp/escape step03-chroot/examples/escape.rs",
];

/// A host whose commands start in a directory that has a rootfs, and what [`SET_UP`] needs of the workspace.
///
/// # Panics
/// When the machine can't have one.
pub fn host() -> Host {
    let host = Host::new();
    // The second tells a rustup which rustc to use.
    for name in ["step03-chroot", "rust-toolchain.toml"] {
        let (source, link) = (workspace::root().join(name), host.directory.join(name));
        // Another checkout may have left it there.
        if fs::read_link(&link).is_ok_and(|it| it != source) {
            fs::remove_file(&link).unwrap_or_else(|error| panic!("unlink({link:?}): {error}"));
        }
        let made = symlink(&source, &link);
        assert!(made.is_ok() || link.exists(), "symlink({link:?}): {made:?}");
    }
    host
}
