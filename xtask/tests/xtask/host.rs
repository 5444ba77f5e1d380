//! `run` and `host` become the program, or pass its status on, and leave nothing behind.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::{XTASK, on_host, text, xtask};

#[test]
fn run_becomes_the_program() {
    let output = on_host(&format!("'{XTASK}' run 1 -- sh -c 'hostname; exit 7'"));
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(7), "mini-docker\n"), "{stderr}");
    // A hyphen after the command is the command's.
    let output = on_host(&format!("'{XTASK}' run step02 sh -c 'echo $$' --help"));
    assert_eq!(text(&output.stdout), "2\n", "{}", text(&output.stderr));
}

#[test]
fn a_user_namespace_or_sudo_can_be_chosen() {
    let script = format!("readlink /proc/self/ns/user; '{XTASK}' run --privilege user 1 readlink /proc/self/ns/user");
    let output = text(&on_host(&script).stdout);
    let (outside, inside) = output.trim().split_once('\n').unwrap();
    assert_ne!(outside, inside);

    // A machine may let no one execute a file in /tmp.
    let sudo = r#"place=$(mktemp -d); mount -t tmpfs tmpfs $place; PATH=$place:$PATH
        echo 'echo sudo "$@"' >$place/sudo; chmod +x $place/sudo"#;
    let output = on_host(&format!("{sudo}; '{XTASK}' run --privilege sudo 1 id -u; umount $place; rmdir $place"));
    let output = text(&output.stdout);
    assert!(output.starts_with("sudo -- /") && output.ends_with("/step01-uts run id -u\n"), "{output}");
}

#[test]
fn the_host_passes_the_status_of_its_command_on() {
    let output = xtask(&["host", "--die-with-parent", "--", "sh", "-c", "hostname; exit 9"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(9), "host\n"), "{}", text(&output.stderr));
    assert_eq!(xtask(&["host", "--die-with-parent", "no-such-program"]).status.code(), Some(127));
}

#[test]
fn a_command_on_the_host_ignores_and_blocks_no_signal_that_its_caller_does() {
    const CALLER: &str = r#"trap '' HUP INT USR1 && env --block-signal "$0" host --die-with-parent \
        grep -E '^Sig(Blk|Ign)' /proc/self/status"#;
    let output = Command::new("sh").args(["-c", CALLER, XTASK]).output().unwrap();
    // glibc's posix_spawn(3) leaves its own two ignored.
    assert_eq!(text(&output.stdout), "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n");
}

#[test]
fn without_a_home_the_host_has_no_cargo_home() {
    let mut host = Command::new(XTASK);
    host.args(["host", "--die-with-parent", "env"])
        .env_remove("HOME")
        .env_remove("CARGO_HOME")
        .env_remove("RUSTUP_HOME");
    let seen = text(&host.output().unwrap().stdout);
    assert!(!seen.contains("CARGO_HOME=") && seen.contains("HOME=/\n"), "{seen}");
}

#[test]
fn a_killed_host_leaves_nothing_behind() {
    // A time of its own, because another test run may do the same.
    let time = format!("4243.{}", std::process::id());
    let mut host = Command::new(XTASK).args(["host", "--die-with-parent", "sleep", &time]).spawn().unwrap();
    let sleeping = format!("sleep\0{time}\0").into_bytes();
    let sleeps = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter(|it| fs::read(it.path().join("cmdline")).is_ok_and(|line| line == sleeping)).count()
    };
    let wait_until = |count| {
        for _ in 0..4000 {
            if sleeps() == count {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{} sleeps instead of {count}", sleeps());
    };
    wait_until(1);
    host.kill().unwrap();
    host.wait().unwrap();
    wait_until(0);
}
