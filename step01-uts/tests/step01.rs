//! What a person sees at step 1.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use xtask::host::Host;
use xtask::transcript::transcript;

xtask::contract! {
    the_exit_status_is_what_a_shell_would_report,
    input_output_and_arguments_pass_through,
    bad_input_gets_one_line_and_a_cure,
    a_killed_run_leaves_nothing_behind,
    orphans_are_reaped,
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn the_hostname_is_the_containers_own() {
    let lines = [
        "hostname",
        "step01-uts run hostname",
        "step01-uts run uname -n",
        "step01-uts run cat /proc/sys/kernel/hostname",
        "hostname",
    ];
    insta::assert_snapshot!("hostname", transcript(&Host::new(), &lines));
}

#[test]
fn who_is_renamed_inside_does_not_rename_the_host() {
    let script = "step01-uts run sh -c 'hostname other; hostname'; hostname";
    Command::from_std(Host::new().sh(script)).assert().success().stdout("other\nhost\n").stderr("");
}

#[test]
fn the_processes_are_still_the_hosts() {
    insta::assert_snapshot!("ps", transcript(&Host::new(), &["step01-uts run ps -e -o pid,args"]));
}

#[test]
fn kill_still_reaches_the_host() {
    // 9 is the last of the host's daemons; signal 0 only asks.
    let lines = ["step01-uts run sh -c 'kill -0 9 && echo I could kill process 9'"];
    insta::assert_snapshot!("kill", transcript(&Host::new(), &lines));
}

#[test]
fn without_rights_the_refused_call_is_named() {
    // Root without CAP_SYS_ADMIN is refused what an ordinary user is refused.
    let lines = ["setpriv --bounding-set=-sys_admin step01-uts run hostname", "echo $?"];
    insta::assert_snapshot!("eperm", transcript(&Host::new(), &lines));
}

#[test]
fn a_container_in_a_container_has_a_third_name() {
    let lines = ["step01-uts run sh -c 'hostname other; step01-uts run hostname; hostname'; hostname"];
    insta::assert_snapshot!("names", transcript(&Host::new(), &lines));
}
