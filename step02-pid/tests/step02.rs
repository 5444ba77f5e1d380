//! What step 2 shows, and what it promises.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use testkit::host::Host;
use testkit::terminal::Terminal;
use testkit::transcript::transcript;

testkit::contract! {
    the_exit_status_is_what_a_shell_would_report,
    input_output_and_arguments_pass_through,
    the_hostname_is_the_containers_own,
    bad_input_gets_one_line,
    child_by_hand_changes_nothing,
    a_killed_run_leaves_nothing_behind,
    ctrl_c_does_not_end_run,
    a_killed_run_takes_the_whole_family_with_it,
    what_the_command_leaves_running_ends_with_it,
    orphans_are_reaped,
    a_shell_has_job_control,
    the_command_may_handle_ctrl_c,
    a_shell_follows_the_window,
}

#[test]
fn the_command_is_process_2_and_its_parent_is_process_1() {
    let lines = ["step02-pid run sh -c 'echo I am $$, and my parent is $PPID'"];
    insta::assert_snapshot!("numbers", transcript(&Host::new(), &lines));
    // The control: in step 1 the command has a PID of the host's, after those of its nine processes and the shell.
    let control = Host::new().sh("step01-uts run sh -c 'echo I am $$, and my parent is $PPID'; :");
    Command::from_std(control).assert().success().stdout("I am 11, and my parent is 10\n").stderr("");
}

#[test]
fn a_process_has_a_pid_in_each_namespace() {
    let lines = ["grep NSpid /proc/self/status", "step02-pid run grep NSpid /proc/self/status"];
    insta::assert_snapshot!("nspid", transcript(&Host::new(), &lines));
}

#[test]
fn ps_lists_the_hosts_processes() {
    insta::assert_snapshot!("ps", transcript(&Host::new(), &["step02-pid run ps -e -o pid,args"]));
}

#[test]
fn proc_is_the_hosts() {
    let lines = [
        "cat /proc/1/comm",
        "step02-pid run cat /proc/1/comm",
        "sh -c 'echo $$; exec readlink /proc/self'",
        "step02-pid run sh -c 'echo $$; exec readlink /proc/self'",
    ];
    insta::assert_snapshot!("proc", transcript(&Host::new(), &lines));
}

#[test]
fn kill_does_not_reach_the_host() {
    let lines = ["step02-pid run sh -c 'kill -0 9 2>/dev/null && echo in reach || echo out of reach'"];
    insta::assert_snapshot!("kill", transcript(&Host::new(), &lines));
}

#[test]
fn process_1_ignores_signals_from_inside() {
    // From inside, a signal reaches process 1 only if it has a handler, even SIGKILL: pid_namespaces(7).
    let lines = ["step02-pid run sh -c 'kill -KILL 1; echo still here'"];
    insta::assert_snapshot!("unkillable", transcript(&Host::new(), &lines));
}

/// A known limit: `run` doesn't take back the terminal from an interactive shell that ended inside.
#[test]
fn a_caller_without_job_control_loses_the_terminal() {
    let assert_reads = |step: &str, expected: &str| {
        let script = format!("{step} run sh; if read line; then echo \"read <$line>\"; else echo read nothing; fi");
        let mut command = Host::new().command("setsid");
        let mut terminal = Terminal::open(command.args(["--ctty", "--wait", "sh", "-c", &script])).unwrap();
        terminal.answer("exit\na line\n", expected);
    };
    assert_reads("step02-pid", "read nothing");
    // The control: in step 1 the shell gives the terminal back, because it knows the caller's process group.
    assert_reads("step01-uts", "read <a line>");
}
