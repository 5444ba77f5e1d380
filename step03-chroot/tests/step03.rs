//! What step 3 shows, and what it promises.
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
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn the_root_is_the_rootfs() {
    insta::assert_snapshot!("ls", transcript(&Host::new(), &["step03-chroot run sh -c 'echo /*'"]));
    // The control: step 2 shows the host's root, which is another directory.
    let inode = |step: &str| {
        let output = Host::new().sh(&format!("{step} run ls -di /")).output().unwrap();
        assert!(output.status.success(), "{step}");
        output.stdout
    };
    assert_ne!(inode("step02-pid"), inode("step03-chroot"));
}

#[test]
fn the_working_directory_is_the_root() {
    let lines = ["step03-chroot run pwd", "step03-chroot run sh -c 'cd ../..; pwd -P'"];
    insta::assert_snapshot!("pwd", transcript(&Host::new(), &lines));
}

#[test]
fn dot_dot_ends_at_the_root() {
    let up = "ls -di / .. ../../../../../..";
    let output = Host::new().sh(&format!("step03-chroot run {up}")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let inodes: Vec<&str> = text.split_whitespace().step_by(2).collect();
    assert_eq!(inodes, [inodes[0]; 3], "{text}");
    // The control: on the host, in the same directory, `..` leads elsewhere.
    let output = Host::new().sh("ls -di . ..").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let inodes: Vec<&str> = text.split_whitespace().step_by(2).collect();
    assert_ne!(inodes[0], inodes[1], "{text}");
}

#[test]
fn bash_does_not_exist_inside() {
    let lines = ["step03-chroot run /bin/bash", "echo $?"];
    insta::assert_snapshot!("bash", transcript(&Host::new(), &lines));
}

#[test]
fn ps_lists_nothing_without_proc() {
    let host = Host::new();
    if host.has_busybox() {
        insta::assert_snapshot!("ps", transcript(&host, &["step03-chroot run ps -o pid,args"]));
    } else {
        // procps-ng's ps reports what is missing instead of printing only its header.
        let output = host.sh("step03-chroot run ps").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty() && text.contains("mount -t proc"), "{text}");
    }
}

#[test]
fn a_mount_inside_does_not_show_on_the_host() {
    let mounted_after = |command: &str| {
        let count = "grep -c '/rootfs/mnt ' /proc/self/mountinfo; exit 0";
        let output = Host::new().sh(&format!("{command} && {count}")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(mounted_after("step03-chroot run mount -t tmpfs none /mnt"), "0\n");
    // The control: the copies in a new mount namespace stay shared with the host's mounts.
    let shared = "/usr/bin/unshare --mount --propagation unchanged mount -t tmpfs none rootfs/mnt";
    assert_eq!(mounted_after(shared), "1\n");
}

#[test]
fn the_command_is_found_on_the_containers_path() {
    // Arch's PATH has no /bin, where Alpine's sh is.
    Command::from_std(Host::new().sh("step=$(command -v step03-chroot); PATH=/usr/bin; $step run sh -c 'echo found'"))
        .assert()
        .success()
        .stdout("found\n");
}

#[test]
fn the_rootfs_is_found_in_the_working_directory() {
    let lines = ["(cd /; step03-chroot run ls)"];
    insta::assert_snapshot!("no-rootfs", transcript(&Host::new(), &lines));
}

#[test]
fn dev_is_empty_and_the_environment_has_two_variables() {
    let lines = ["step03-chroot run ls /dev", "TERM=xterm step03-chroot run env"];
    insta::assert_snapshot!("bare", transcript(&Host::new(), &lines));
}
