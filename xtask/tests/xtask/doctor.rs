//! `doctor` and `run` ask the same questions, so they come to the same conclusion.

use std::process::Command;

use testkit::host::Host;

use crate::{XTASK, host_shell, on, on_host, text, xtask};

#[test]
fn the_doctor_reports_that_every_step_can_run() {
    let output = xtask(&["doctor"]);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}");
    for part in
        ["kernel", "user namespace", "step01-uts", "step04-proc", "mount of /", "curl", "musl", "disk", "rootfs"]
    {
        assert!(report.contains(part), "no {part}: {report}");
    }
    // A path or a command is never broken.
    let is_prose = |line: &&str| !line.contains(['/', '`']);
    assert!(report.lines().filter(is_prose).all(|line| line.chars().count() <= 80), "{report}");
}

/// Runs `doctor` and `run 4` where a script has changed something. Both must come to the same conclusion, and name the part.
#[track_caller]
fn both_name(mut shell: Command, change: &str, part: &str) {
    let script = format!("'{XTASK}' doctor; echo status $?; '{XTASK}' run 4 true 2>&1; echo status $?");
    // In a user namespace of its own the change can't be undone.
    let change = format!("{change}; exec unshare --user --map-root-user --mount sh -c \"$1\"");
    let output = shell.args(["sh", "-c", &change, "sh", &script]).output().unwrap();
    let seen = text(&output.stdout);
    let parts = seen.split_once("status 1\n");
    let (doctor, run) = parts.unwrap_or_else(|| panic!("the doctor is content: {seen}{}", text(&output.stderr)));
    let one_line = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one_line.contains(part), "doctor: no {part:?} in {doctor}");
    assert!(run.contains(part) && run.ends_with("status 1\n"), "run: no {part:?} in {run}");
}

#[test]
fn a_limit_on_namespaces_is_named_by_both() {
    let change = "echo 0 >/proc/sys/user/max_pid_namespaces";
    both_name(host_shell(&Host::new().as_user()), change, "unshare(CLONE_NEWPID|CLONE_NEWNS): ENOSPC");
}

#[test]
fn something_mounted_over_parts_of_proc_is_named_by_both() {
    // Not on a throwaway host, where the machine's own /proc is below the host's, and is not covered. The program is root of a
    // user namespace: the cause is not that it lacks a capability.
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount"]);
    let change = "mount -t tmpfs tmpfs /proc/sys/kernel";
    both_name(shell, change, "Something is mounted over parts of /proc");
}

#[test]
fn a_noexec_mount_is_named_by_both() {
    // Bound over itself, ./rootfs is on a mount that can be noexec alone. Its own rootfs is the repository's.
    let rootfs = lab::workspace::rootfs();
    lab::rootfs::ensure().unwrap();
    let rootfs = rootfs.display();
    let change = format!("mount --bind '{rootfs}' '{rootfs}' && mount -o remount,bind,noexec '{rootfs}'");
    both_name(host_shell(&Host::new().as_user()), &change, "is mounted noexec: copy the repository elsewhere");
}

#[test]
fn a_way_that_is_not_needed_is_a_note() {
    // A limit that counts in a user namespace, and lets no other be made in it. Its root needs none.
    let output = on(&Host::new().as_user(), &format!("echo 0 >/proc/sys/user/max_user_namespaces; '{XTASK}' doctor"));
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}");
    assert!(report.contains("note user namespace") && report.contains("user.max_user_namespaces is 0"), "{report}");
    assert!(!report.contains("FAIL"), "{report}");
}

#[test]
fn root_without_cap_sys_admin_falls_back_to_a_user_namespace_and_prints_why() {
    let without = "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --ambient-caps=-sys_admin";
    let output = on_host(&format!("{without} '{XTASK}' run 1 hostname"));
    assert_eq!(text(&output.stdout), "mini-docker\n", "{}", text(&output.stderr));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("as root, unshare(CLONE_NEWUTS): EPERM") && stderr.contains("CAP_SYS_ADMIN"), "{stderr}");
    assert!(stderr.contains("running it in a user namespace instead"), "{stderr}");
    let output = on_host(&format!("{without} '{XTASK}' doctor"));
    assert!(output.status.success() && text(&output.stdout).contains("note root"), "{}", text(&output.stdout));
}

#[test]
fn without_any_way_the_refused_call_and_a_cure_are_named() {
    let script = format!("echo 0 >/proc/sys/user/max_uts_namespaces; '{XTASK}' run 1 true");
    let output = on(&Host::new().as_user(), &script);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("unshare(CLONE_NEWUTS): ENOSPC") && error.contains("`sudo sysctl"), "{error}");
}
