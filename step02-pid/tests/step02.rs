//! What a person sees at step 2.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use xtask::host::Host;
use xtask::transcript::transcript;

xtask::contract! {
    the_exit_status_is_what_a_shell_would_report,
    input_output_and_arguments_pass_through,
    bad_input_gets_one_line_and_a_cure,
    a_killed_run_leaves_nothing_behind,
    a_killed_run_takes_the_whole_family_with_it,
    what_the_command_leaves_running_ends_with_it,
    orphans_are_reaped,
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn the_hostname_is_the_containers_own() {
    let lines = ["step02-pid run hostname", "hostname"];
    insta::assert_snapshot!("hostname", transcript(&Host::new(), &lines));
}

#[test]
fn the_command_is_process_2_and_its_parent_process_1() {
    let script = "echo PID $$, parent $PPID";
    // exec: some shells would do so with the last command of a script, others not, and the numbers would differ.
    let inside = |step: &str| Command::from_std(Host::new().sh(&format!("exec {step} run sh -c '{script}'")));
    inside("step02-pid").assert().success().stdout("PID 2, parent 1\n").stderr("");
    // The control: in step 1 the command takes the number that comes next on the host.
    inside("step01-uts").assert().success().stdout("PID 11, parent 10\n");
}

#[test]
fn a_process_has_a_number_in_each_namespace() {
    let lines = ["grep NSpid /proc/self/status", "step02-pid run grep NSpid /proc/self/status"];
    insta::assert_snapshot!("nspid", transcript(&Host::new(), &lines));
}

#[test]
fn ps_still_lists_the_hosts_processes() {
    insta::assert_snapshot!("ps", transcript(&Host::new(), &["step02-pid run ps -e -o pid,args"]));
}

#[test]
fn proc_is_still_the_hosts() {
    let lines = [
        "cat /proc/1/comm",
        "step02-pid run cat /proc/1/comm",
        "sh -c 'echo $$; exec readlink /proc/self'",
        "step02-pid run sh -c 'echo $$; exec readlink /proc/self'",
    ];
    insta::assert_snapshot!("proc", transcript(&Host::new(), &lines));
}

#[test]
fn kill_can_not_reach_the_host() {
    let lines = ["step02-pid run sh -c 'kill -0 9 2>/dev/null && echo in reach || echo out of reach'"];
    insta::assert_snapshot!("kill", transcript(&Host::new(), &lines));
}

#[test]
fn process_1_does_not_obey_its_own_namespace() {
    // Signals without a handler do not reach a process 1 from inside, not even SIGKILL: pid_namespaces(7).
    let script = "step02-pid run sh -c 'kill -TERM 1; kill -KILL 1; echo still here'";
    Command::from_std(Host::new().sh(script)).assert().success().stdout("still here\n").stderr("");
}

#[test]
fn the_same_processes_have_other_numbers_inside() {
    let lines = ["step02-pid run sh -c 'echo I am $$, and my parent is $PPID'"];
    insta::assert_snapshot!("numbers", transcript(&Host::new(), &lines));
}

#[test]
fn killing_process_1_from_inside_does_nothing() {
    let lines = ["step02-pid run sh -c 'kill -KILL 1; echo still here'"];
    insta::assert_snapshot!("unkillable", transcript(&Host::new(), &lines));
}
