//! What step 1 shows, and what it promises.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use testkit::host::Host;
use testkit::transcript::transcript;

testkit::contract! {
    the_exit_status_is_what_a_shell_would_report,
    input_output_and_arguments_pass_through,
    bad_input_gets_one_line,
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn every_program_inside_reads_the_new_hostname() {
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
fn run_becomes_the_command() {
    // One process, so one PID, and the parent stays the same.
    let script = "echo $$ $PPID; exec step01-uts run sh -c 'echo $$ $PPID'";
    let output = Host::new().sh(script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0] == lines[1], "{text}");
}

#[test]
fn a_new_name_inside_does_not_rename_the_host() {
    let script = "step01-uts run sh -c 'hostname other; hostname'; hostname";
    Command::from_std(Host::new().sh(script)).assert().success().stdout("other\nhost\n").stderr("");
}

#[test]
fn ps_lists_the_hosts_processes() {
    insta::assert_snapshot!("ps", transcript(&Host::new(), &["step01-uts run ps -e -o pid,args"]));
}

#[test]
fn kill_reaches_the_host() {
    // Process 9 is the last of the host's daemons. Signal 0 only asks.
    let lines = ["step01-uts run sh -c 'kill -0 9 && echo I could kill process 9'"];
    insta::assert_snapshot!("kill", transcript(&Host::new(), &lines));
}

#[test]
fn root_without_cap_sys_admin_is_refused() {
    // As an ordinary user is.
    let lines = ["setpriv --bounding-set=-sys_admin step01-uts run hostname", "echo $?"];
    insta::assert_snapshot!("eperm", transcript(&Host::new(), &lines));
}

#[test]
fn a_container_in_a_container_has_its_own_hostname() {
    let lines = ["step01-uts run sh -c 'hostname other; step01-uts run hostname; hostname'; hostname"];
    insta::assert_snapshot!("names", transcript(&Host::new(), &lines));
}
