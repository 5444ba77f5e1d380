//! The limits of the jail in which hand-ins run, each with a control: a little less is allowed. For root, and for an ordinary user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use nix::unistd::geteuid;
use testkit::program::write_program;

/// Runs a line of shell in a jail, as each of the users that this test can be. Returns what it printed.
fn in_jails(line: &str) -> Vec<String> {
    // The target directory may be in root's home, where nobody else can go. A machine may let no one execute a file in /tmp.
    let top = if geteuid().is_root() { env::temp_dir() } else { env!("CARGO_TARGET_TMPDIR").into() };
    let place = top.join(format!("mini-docker-jail-{}-{}", std::process::id(), fastrand::u32(..)));
    let grader = place.join("grader");
    fs::create_dir(&place).unwrap();
    write_program(&grader, &fs::read(env!("CARGO_BIN_EXE_grader")).unwrap());
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].as_slice();
    let users = if geteuid().is_root() { vec![["env"].as_slice(), ordinary] } else { vec![["env"].as_slice()] };
    let run = |user: &[&str]| {
        let mut command = Command::new(user[0]);
        command.args(&user[1..]).arg(&grader).args(["--jail".as_ref(), place.as_os_str(), "ro".as_ref(), "0".as_ref()]);
        let output = command.args(["/bin/sh", "-c", line]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let printed = users.into_iter().map(run).collect();
    fs::remove_dir_all(place).unwrap();
    printed
}

/// True if every jail runs the first command, and refuses the second.
#[track_caller]
fn only_the_first_runs(first: &str, second: &str, why: &str) {
    for printed in in_jails(&format!("{first} && echo allowed; {second} && echo allowed")) {
        assert!(printed.matches("allowed\n").count() == 1 && printed.contains(why), "{printed}");
    }
}

#[test]
fn a_process_in_a_jail_has_at_most_a_gibibyte_of_memory() {
    // It allocates that much, and fills nothing of it.
    let dd = |size: &str| format!("dd if=/dev/null of=/dev/null status=none bs={size}");
    only_the_first_runs(&dd("900M"), &dd("1100M"), "memory exhausted");
}

#[test]
fn the_home_in_a_jail_is_its_own_and_empty() {
    let look = "[ \"$HOME\" != '' ] && ls -A \"$HOME\" && touch \"$HOME/new\" && ls -A \"$HOME\" && echo \"$HOME\"";
    for _ in 0..2 {
        for printed in in_jails(look) {
            assert_eq!(printed, "new\n/home\n");
        }
    }
    assert!(Path::new("/home").is_dir() && !Path::new("/home/new").exists());
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: fills the disks of several jails"]
    fn a_jail_has_at_most_256_mebibytes_of_disk() {
        for place in ["/tmp", "/home", "/dev/shm"] {
            let fill = |size: &str| format!("fallocate -l {size} {place}/big");
            only_the_first_runs(&fill("200M"), &fill("300M"), "No space left on device");
        }
        let fill = "mkdir /tmp/many && cd /tmp/many && seq";
        only_the_first_runs(&format!("{fill} 15000 | xargs touch"), "seq 15000 25000 | xargs touch", "No space left");
    }
}
