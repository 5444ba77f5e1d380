//! What step 4 shows, and what it promises.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use testkit::host::Host;
use testkit::transcript::transcript;

testkit::contract! {
    the_exit_status_is_what_a_shell_would_report,
    input_output_and_arguments_pass_through,
    the_hostname_is_the_containers_own,
    bad_input_gets_one_line,
    child_by_hand_changes_nothing,
    a_bad_rootfs_gets_one_line,
    a_killed_run_leaves_nothing_behind,
    ctrl_c_does_not_end_run,
    a_killed_run_takes_the_whole_family_with_it,
    what_the_command_leaves_running_ends_with_it,
    orphans_are_reaped,
    the_environment_is_the_containers_own,
    the_environment_of_process_1_is_the_containers_own,
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn the_last_step_is_a_container() {
    let lines = ["step04-proc run whoami", "step04-proc run hostname", "step04-proc run ps -o pid,args", "hostname"];
    insta::assert_snapshot!("container", transcript(&Host::new(), &lines));
}

#[test]
fn ps_lists_process_1_the_command_and_itself() {
    let host = Host::new();
    // By its path, because a BusyBox shell may run its built-in ps without an execve.
    let output = host.sh("step04-proc run sh -c '/bin/ps -o pid,args; exit'").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert_eq!(rows[0], ["PID", "COMMAND"]);
    assert_eq!(rows[1][..5], ["1", "/proc/self/exe", "child", "sh", "-c"]);
    assert_eq!(rows[2][..3], ["2", "sh", "-c"]);
    assert_eq!(rows[3][1..], ["/bin/ps", "-o", "pid,args"]);
    // The control: step 2's /proc lists the host's nine processes.
    let output = host.sh("step02-pid run ps -e -o pid,args | grep -c '[0-9] /sbin/'").output().unwrap();
    assert_eq!(output.stdout, b"9\n");
}

#[test]
fn ps_ef_lists_what_the_notes_show() {
    // procps-ng and the builds of BusyBox show different columns. All of them show the user and the command.
    let output = Host::new().sh("step04-proc run ps -ef").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    for (row, end) in [(&rows[1], "/proc/self/exe child ps -ef"), (&rows[2], "ps -ef")] {
        assert!(row.contains(&"root") && row.join(" ").ends_with(end), "{text}");
    }
    assert!(!rows[2].contains(&"child"), "{text}");
}

#[test]
fn proc_is_read_only_and_without_devices_or_programs() {
    let mounts = Host::new().sh("step04-proc run grep ' /proc ' /proc/mounts").output().unwrap().stdout;
    let mounts = String::from_utf8_lossy(&mounts);
    let options: Vec<&str> = mounts.split_whitespace().nth(3).unwrap_or_default().split(',').collect();
    assert_eq!(options[..4], ["ro", "nosuid", "nodev", "noexec"], "{mounts}");
    let rename = "sh -c 'echo other >/proc/self/comm'";
    Command::from_std(Host::new().sh(&format!("step04-proc run {rename}"))).assert().failure();
    // The control: the host's /proc is writable.
    Command::from_std(Host::new().sh(rename)).assert().success();
}

#[test]
fn a_mount_leaks_from_a_namespace_that_is_not_made_private() {
    let lines = [
        "grep -c rootfs/proc /proc/mounts",
        "step04-proc run true; grep -c rootfs/proc /proc/mounts",
        "/usr/bin/unshare --mount --propagation unchanged mount -t proc proc rootfs/proc",
        "grep -c rootfs/proc /proc/mounts",
    ];
    insta::assert_snapshot!("leak", transcript(&Host::new(), &lines));
}

#[test]
fn network_cgroup_capabilities_and_seccomp_are_the_hosts() {
    let lines = [
        r#"same() { step04-proc run "$@" | grep -qxF "$("$@")" && echo the same || echo another; }"#,
        "same readlink /proc/self/ns/net",
        "same cat /proc/self/cgroup",
        "same grep CapEff /proc/self/status",
        "same grep ^Seccomp: /proc/self/status",
        // The control.
        "same readlink /proc/self/ns/uts",
    ];
    insta::assert_snapshot!("shared", transcript(&Host::new(), &lines));
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let lines = [
        "step04-proc run sh -c 'exit 7'; echo $?",
        "step04-proc run sh -c 'kill -TERM $$'; echo $?",
        "step04-proc run no-such-command; echo $?",
        "step04-proc run /etc/passwd; echo $?",
        "step04-proc; echo $?",
    ];
    insta::assert_snapshot!("exit-status", transcript(&Host::new(), &lines));
}

mod as_root {
    use super::*;

    /// In a user namespace the kernel allows a new /proc only with the atime flags of the old one.
    #[test]
    #[ignore = "needs root, because only root can change the atime flags of the host's /proc"]
    fn proc_gets_the_atime_flags_of_the_hosts_in_a_user_namespace() {
        // WSL 2 has noatime.
        for flags in ["noatime", "nodiratime", "strictatime", "noatime,nodiratime", "strictatime,nodiratime"] {
            let inside = |command: &str| {
                // The kernel would accept the flags of any other visible proc, such as this one at /mnt. Hide them all.
                let script = format!(
                    "mount -t proc proc /mnt
                     findmnt --list --noheadings --types proc --output TARGET | grep -vx /proc |
                         while read -r other; do mount -t tmpfs tmpfs \"$other\"; done
                     mount -o remount,{flags} /proc && unshare --user --map-root-user --mount {command}"
                );
                Command::from_std(Host::new().as_root().sh(&script)).assert()
            };
            inside("step04-proc run ps -o pid").success();
            // The control: the default, relatime, is refused.
            inside("--pid --fork mount -t proc proc rootfs/proc").failure();
            inside(&format!("--pid --fork mount -t proc -o {flags} proc rootfs/proc")).success();
        }
    }
}
