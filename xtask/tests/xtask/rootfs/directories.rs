//! Directories as a source, links as a goal, and a rootfs that somebody has changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::archives::{elf, make, with_victim};
use super::{Sandbox, failure, stderr};
use lab::rootfs::flaw;
use testkit::host::Host;

/// Returns a sandbox with a small rootfs in `directory`, in which `script` has run.
fn with_directory(script: &str) -> Sandbox {
    let sandbox = with_victim();
    let directory = sandbox.0.join("directory");
    fs::create_dir_all(directory.join("bin")).unwrap();
    fs::write(directory.join("bin/sh"), "").unwrap();
    assert!(Command::new("sh").args(["-euc", script]).current_dir(&directory).status().unwrap().success(), "{script}");
    sandbox
}

#[test]
fn odd_but_harmless_files_are_copied() {
    for script in [
        "ln -s . loop; ln -s a b; ln -s b a; ln -s .. up; ln -s / top",
        "mkfifo fifo; mkdir dev; ln -s /proc/self/fd dev/fd; touch dev/null",
        "touch bin/su; chmod 6755 bin/su; mkdir d; touch d/file; chmod 2555 d .",
        "mkdir etc; ln -s ../../victim/file etc/mini-docker; chmod 555 etc",
        "touch \"$(printf 'us\\351b\\033[2J')\"",
    ] {
        let sandbox = with_directory(script);
        for _ in 0..2 {
            let output = make(&sandbox, script, "directory");
            assert!(output.status.success(), "{script}: {}", stderr(&output));
        }
        sandbox.assert_tidy();
    }
    let sandbox = with_directory("ln bin/sh bin/ash; ln -s sh bin/ln");
    assert!(make(&sandbox, "hard links", "directory").status.success());
    assert_eq!(fs::metadata(sandbox.rootfs().join("bin/ash")).unwrap().nlink(), 2);
    assert_eq!(fs::read_link(sandbox.rootfs().join("bin/ln")).unwrap(), Path::new("sh"));
}

#[test]
fn what_is_mounted_in_a_directory_is_not_copied() {
    let sandbox = with_directory("mkdir mnt proc");
    let script = format!(
        "mount -t tmpfs none directory/mnt && echo x >directory/mnt/file && mount -t proc proc directory/proc && \
         '{}' rootfs --source directory --to rootfs; echo $?; ls -A rootfs/mnt rootfs/proc",
        env!("CARGO_BIN_EXE_xtask")
    );
    let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\nrootfs/mnt:\n\nrootfs/proc:\n", "{}", stderr(&output));
}

#[test]
fn a_link_to_a_directory_elsewhere_stays_and_the_rootfs_is_made_there() {
    let sandbox = with_directory("");
    let (disk, source) = (sandbox.0.join("disk"), sandbox.0.join("directory"));
    let run = |more: &[&str]| sandbox.run(&[&["--source", source.to_str().unwrap()], more].concat());
    symlink("disk/here", sandbox.rootfs()).unwrap();

    let output = run(&[]);
    assert!(
        failure(&output).contains("rootfs is a link to disk/here: create that directory or remove"),
        "{}",
        stderr(&output)
    );
    assert_eq!(flaw(&sandbox.rootfs()).unwrap(), "is a link that leads nowhere");

    fs::create_dir_all(disk.join("here")).unwrap();
    assert_eq!(flaw(&sandbox.rootfs()).unwrap(), "is missing");
    for force in [&[][..], &["--force"]] {
        let output = run(force);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(fs::read_link(sandbox.rootfs()).unwrap(), Path::new("disk/here"));
        assert!(disk.join("here/bin/sh").is_file());
    }
    assert_eq!(flaw(&sandbox.rootfs()), None);

    // Somebody's work is not replaced through a link.
    fs::remove_file(disk.join("here/etc/mini-docker")).unwrap();
    let output = run(&["--force"]);
    assert!(failure(&output).contains("which wasn't created by xtask: remove the link"), "{}", stderr(&output));
    assert!(disk.join("here/bin/sh").is_file());
}

#[test]
fn a_flaw_is_named() {
    for (script, named) in [
        ("mkdir ../rootfs", "is missing"),
        ("touch ../rootfs", "is not a directory"),
        ("mkdir -p ../rootfs/proc ../rootfs/bin", "has no /bin/sh"),
        ("mkdir -p ../rootfs/proc ../rootfs/bin; ln -s busybox ../rootfs/bin/sh", "has no /bin/sh"),
        ("mkdir proc; ln -s bin/sh bin/busybox; cp -r . ../rootfs", ""),
        ("cp -r . ../rootfs", "has no /proc directory"),
        ("ln -s ../victim proc; cp -r . ../rootfs", "has no /proc directory"),
    ] {
        let sandbox = with_directory(script);
        assert_eq!(flaw(&sandbox.rootfs()).unwrap_or_default(), named, "{script}");
    }
    let sandbox = with_directory("mkdir proc");
    fs::write(sandbox.0.join("directory/bin/sh"), elf(0x77, 64)).unwrap();
    let foreign = flaw(&sandbox.0.join("directory"));
    assert_eq!(foreign.unwrap(), "holds programs for ELF machine 119, which this kernel can't run");
    assert_eq!(flaw(&sandbox.0.join("nothing")).unwrap(), "is missing");
    if !nix::unistd::geteuid().is_root() {
        fs::set_permissions(sandbox.0.join("directory"), Permissions::from_mode(0o0)).unwrap();
        assert!(flaw(&sandbox.0.join("directory")).unwrap().starts_with("can't be read: Permission denied"));
        fs::set_permissions(sandbox.0.join("directory"), Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_place_without_executable_files_is_refused() {
    let sandbox = with_directory("");
    let script = format!(
        "mkdir noexec && mount -t tmpfs -o noexec none noexec && '{}' rootfs --source directory --to noexec/rootfs",
        env!("CARGO_BIN_EXE_xtask")
    );
    let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
    assert!(failure(&output).contains("noexec is on a file system that is mounted noexec"), "{}", stderr(&output));
}

/// Nests `depth` directories, and makes the innermost first, because no path may be as long.
fn dig(directory: &Path, depth: usize) {
    let (inner, outer) = (directory.join("d"), directory.join("e"));
    fs::create_dir(&inner).unwrap();
    for _ in 1..depth {
        fs::create_dir(&outer).unwrap();
        fs::rename(&inner, outer.join("d")).unwrap();
        fs::rename(&outer, &inner).unwrap();
    }
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: makes large directories"]
    fn a_rootfs_with_very_deep_directories_can_be_replaced() {
        let sandbox = with_directory("");
        assert!(make(&sandbox, "a rootfs", "directory").status.success());
        // Any program in the container could do this.
        dig(&sandbox.rootfs(), 3000);
        // As on most machines, fewer files may be open.
        let xtask = sandbox.xtask(&["--force", "--source", sandbox.0.join("directory").to_str().unwrap()]);
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]).arg(xtask.get_program()).args(xtask.get_args());
        let output = limited.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        sandbox.assert_tidy();
        assert!(!sandbox.rootfs().join("d").exists());
    }

    #[test]
    #[ignore = "slow: makes large directories"]
    fn a_refused_directory_is_refused_with_the_reason() {
        for (script, reason) in [
            ("for n in 1 2 3; do truncate -s 1G f$n; done", "larger than 2048 MiB"),
            ("truncate -s 10G huge", "larger than 2048 MiB"),
            ("ln -s ../victim proc", "/proc is not a directory"),
            ("ln -s ../victim etc", "/etc is not a directory"),
        ] {
            let sandbox = with_directory(script);
            let output = make(&sandbox, script, "directory");
            assert_eq!(output.status.code(), Some(1), "{script}: {}", stderr(&output));
            assert!(stderr(&output).contains(reason), "{script}: {}", stderr(&output));
            assert!(!sandbox.rootfs().exists());
            sandbox.assert_tidy();
        }
        let sandbox = with_directory("mkfifo ../fifo");
        dig(&sandbox.0.join("directory"), 3000);
        for (source, reason) in [
            (sandbox.0.join("directory").to_str().unwrap(), "a path of more than"),
            (sandbox.0.to_str().unwrap(), "inside its own source"),
            (sandbox.0.join("fifo").to_str().unwrap(), "neither a file nor a directory"),
            ("/dev/zero", "neither a file nor a directory"),
        ] {
            let output = sandbox.run(&["--source", source]);
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(failure(&output).contains(reason), "{}", stderr(&output));
        }
        // A test can't remove it, but rm(1) can.
        assert!(Command::new("rm").arg("-r").arg(sandbox.0.join("directory")).status().unwrap().success());
    }
}
