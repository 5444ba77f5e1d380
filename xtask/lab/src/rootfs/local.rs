//! Makes a rootfs from this machine's programs: its busybox, or its own commands with their libraries.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use duct::cmd;

use super::not_started;

/// Alpine's directories, and the modes of those whose mode isn't 755.
const DIRECTORIES: &str = "bin dev etc home lib media mnt opt run sbin srv usr usr/bin usr/lib usr/sbin var";
const MODES: [(&str, u32); 4] = [("proc", 0o555), ("root", 0o700), ("sys", 0o555), ("tmp", 0o1777)];

/// The programs that are copied from this machine, if it has them.
const PROGRAMS: &str = "awk basename cat chmod chroot clear cp cut date dd df dirname du echo env expr false find free \
    grep head hostname id ip kill less ln ls mkdir mknod more mount mv nproc printf ps pwd readlink rm rmdir sed seq setsid sh \
    sleep sort stat stty tail tee test touch tr true tty umount uname uniq unshare vi wc which whoami xargs yes";
/// The programs that the book and the tests need.
const NEEDED: [&str; 12] =
    ["cat", "env", "grep", "hostname", "ls", "printf", "ps", "readlink", "stty", "sh", "sleep", "whoami"];

/// Makes a rootfs laid out like Alpine's: the directories, and the user root.
fn lay_out(new: &Path) -> Result<()> {
    for (name, mode) in DIRECTORIES.split(' ').map(|name| (name, 0o755)).chain(MODES) {
        fs::create_dir(new.join(name))?;
        fs::set_permissions(new.join(name), Permissions::from_mode(mode))?;
    }
    fs::write(new.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")?;
    fs::write(new.join("etc/group"), "root:x:0:root\nnobody:x:65534:\n")?;
    Ok(())
}

pub fn fill_with_busybox(new: &Path) -> Result<()> {
    let busybox = find("busybox").context("there is no busybox on this machine")?;
    lay_out(new)?;
    install(&busybox, "busybox", new)?;
    let list = cmd!(&busybox, "--list-full").stdin_null().stderr_null().read().context("busybox --list-full")?;
    for applet in list.lines() {
        // `linuxrc` is in `/` itself, where Alpine has nothing. Alpine has no bash, and step 3 teaches that.
        if applet.contains('/') && !applet.ends_with("/bash") && applet != "bin/busybox" {
            let link = new.join(applet);
            fs::create_dir_all(link.parent().unwrap_or(new))?;
            symlink("/bin/busybox", &link).with_context(|| format!("linking {applet}"))?;
        }
    }
    check_needed(new, "this busybox")
}

pub fn fill_with_programs(new: &Path) -> Result<()> {
    lay_out(new)?;
    for name in PROGRAMS.split_whitespace() {
        // dash complains when it ends in a PID namespace, see host.rs.
        let program = if name == "sh" { find("bash").or_else(|| find("sh")) } else { find(name) };
        program.map_or(Ok(()), |program| install(&program, name, new))?;
    }
    check_needed(new, "this machine")
}

/// Returns the system's own program of that name, not a version manager's wrapper in somebody's home.
fn find(name: &str) -> Option<PathBuf> {
    let directories = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/run/current-system/sw/bin"];
    directories.iter().map(|directory| Path::new(directory).join(name)).find(|program| program.is_file())
}

fn check_needed(new: &Path, whose: &str) -> Result<()> {
    let is_missing = |name: &&&str| {
        ["bin", "usr/bin"].iter().all(|directory| new.join(directory).join(name).symlink_metadata().is_err())
    };
    let missing: Vec<&str> = NEEDED.iter().filter(is_missing).copied().collect();
    ensure!(missing.is_empty(), "{whose} has no {}", missing.join(", "));
    Ok(())
}

/// Copies a program to bin/, and the libraries that ldd(1) lists to the same places in the rootfs.
fn install(program: &Path, name: &str, new: &Path) -> Result<()> {
    copy(program, &new.join("bin").join(name))?;
    // Cargo sets LD_LIBRARY_PATH for the programs it runs. ldd fails on scripts and static programs, which need no libraries.
    let ldd = cmd!("ldd", program).env_remove("LD_LIBRARY_PATH").stdin_null().stderr_null().unchecked();
    let list = ldd.read().map_err(|error| not_started(error, "ldd"))?;
    // `libc.so.6 => /lib/libc.so.6 (0x7f…)`, and `/lib64/ld-linux.so.2 (0x7f…)` without an arrow.
    for library in list.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
        let place = new.join(library.strip_prefix("/")?);
        if library.is_file() && place.symlink_metadata().is_err() {
            fs::create_dir_all(place.parent().unwrap_or(new))?;
            copy(library, &place)?;
        }
    }
    Ok(())
}

/// Copies a program without the set-user-ID bit that mount(8) has.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let result = fs::copy(from, to).and_then(|_| fs::set_permissions(to, Permissions::from_mode(0o755)));
    result.with_context(|| format!("copying {}", from.display()))
}
