//! What `cargo xtask compare` finds: the table that the book shows, and the facts in it.

use std::collections::HashMap;
use std::env;
use std::process::{Command, Output};
use std::sync::OnceLock;

use lab::steps;
use serde_json::Value;
use testkit::host::{self, Host};

const GRADER: &str = env!("CARGO_BIN_EXE_grader");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command on hosts of the kind that the tests are asked to use.
fn compare(args: &[&str]) -> Output {
    let mut command = Command::new(GRADER);
    command.arg("compare").args(args).env_remove("RUST_BACKTRACE");
    if let Some(privilege) = env::var_os(host::PRIVILEGE) {
        command.arg("--privilege").arg(privilege);
    }
    command.output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = compare(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Returns the values of a column in what `--json` prints, by name; a namespace is `ns.KIND`.
fn values(json: &str, column: &str) -> HashMap<String, String> {
    let json: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let columns = json["columns"].as_array().unwrap();
    let column = columns.iter().find(|it| it["name"] == column).unwrap_or_else(|| panic!("no {column}: {json}"));
    let pairs = |object: &Value, prefix: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        object.as_object().unwrap().iter().map(|(name, value)| (format!("{prefix}{name}"), text(value))).collect()
    };
    pairs(column, "").into_iter().chain(pairs(&column["namespaces"], "ns.")).collect()
}

/// The value in each column: the host, and steps 1 to 4.
fn row(key: &str) -> Vec<String> {
    static JSON: OnceLock<String> = OnceLock::new();
    let json = JSON.get_or_init(|| stdout(&["--json"]));
    let names = ["host", "step01-uts", "step02-pid", "step03-chroot", "step04-proc"];
    names.iter().map(|name| values(json, name).remove(key).unwrap_or_else(|| panic!("{key}: {json}"))).collect()
}

#[test]
fn the_table_is_the_same_on_every_machine_and_has_no_colour_unless_told_to() {
    let plain = stdout(&[]);
    insta::assert_snapshot!("table", format!("$ cargo xtask compare\n{plain}"));
    let steps = steps::all().unwrap();
    let names: Vec<&str> = ["host"].into_iter().chain(steps.iter().map(|step| step.short())).collect();
    assert_eq!(plain.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), names);
    let colored = stdout(&["--color", "always"]);
    assert!(colored.contains("\x1b[") && !plain.contains('\x1b'), "{colored}");
}

#[test]
fn from_step_2_on_nothing_of_the_hosts_can_be_signalled() {
    assert_eq!(row("processes_in_reach"), ["10", "10", "0", "0", "0"]);
    assert_eq!(row("processes_on_host"), ["10"; 5]);
}

#[test]
fn from_step_2_on_the_command_is_process_2() {
    let pids = row("pid");
    assert_eq!(pids[2..], ["2"; 3]);
    // The control: before, the low numbers are the host's.
    assert!(pids[..2].iter().all(|pid| pid.parse::<u32>().unwrap() > 9), "{pids:?}");
}

#[test]
fn step_3_hides_proc_and_step_4_has_its_own() {
    assert_eq!(row("proc"), ["host", "host", "host", "empty", "own"]);
    assert_eq!(row("proc_read_only"), ["false", "false", "false", "false", "true"]);
    assert_eq!(row("processes_visible")[3..], ["0", "2"]);
}

#[test]
fn from_step_3_on_the_root_is_the_rootfs_and_mounts_stay_inside() {
    assert_eq!(row("root"), ["host", "host", "host", "rootfs", "rootfs"]);
    assert_eq!(row("mounts"), ["host", "host", "host", "own", "own"]);
    assert_eq!(row("mounts_visible")[3..], ["0", "1"]);
    assert_eq!(row("mounts_reach_host"), ["true", "true", "true", "false", "false"]);
}

#[test]
fn the_kernel_counts_one_new_namespace_and_then_three() {
    assert_eq!(row("ns.uts"), ["shared", "new", "new", "new", "new"]);
    for kind in ["pid", "mnt"] {
        assert_eq!(row(&format!("ns.{kind}")), ["shared", "shared", "new", "new", "new"], "{kind}");
    }
    for kind in ["user", "net", "ipc"] {
        assert_eq!(row(&format!("ns.{kind}")), ["shared"; 5], "{kind}");
    }
}

#[test]
fn the_exit_status_and_the_hostname_come_from_inside() {
    assert_eq!(row("exit_status"), ["7"; 5]);
    assert_eq!(row("hostname"), ["host", "mini-docker", "mini-docker", "mini-docker", "mini-docker"]);
}

/// On a throwaway host, which stands in for the real machine.
fn real(host: &Host, before: &str, args: &str) -> Output {
    let mut shell = host.command("env");
    shell.arg("CARGO_TERM_QUIET=true");
    // As in command_line.rs: the cargo that runs this test needs its home, and a rustc, which lies where this PATH says.
    for name in ["HOME", "PATH", "CARGO", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = env::var_os(name) {
            shell.arg(format!("{name}={}", value.to_string_lossy()));
        }
    }
    shell.args(["sh", "-c", &format!("{before} '{GRADER}' compare --real {args}")]).output().unwrap()
}

#[test]
fn where_it_can_not_run_one_line_says_why() {
    let output = real(&Host::new().as_user(), "echo 0 >/proc/sys/user/max_pid_namespaces;", "");
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{error}");
    assert!(error.contains("unshare(CLONE_NEWPID|CLONE_NEWNS): ENOSPC") && error.lines().count() == 1, "{error}");
    let output = Command::new(GRADER).args(["compare", "--privilege", "sudo"]).output().unwrap();
    assert_eq!(text(&output.stderr), "xtask: --privilege sudo needs --real\n");
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: compares twice"]
    fn the_real_machine_can_be_asked_with_or_without_a_user_namespace() {
        for (args, user) in [("--json", "shared"), ("--json --privilege user", "new")] {
            let output = real(&Host::new(), "", args);
            let (json, errors) = (text(&output.stdout), text(&output.stderr));
            assert!(output.status.success(), "{errors}");
            assert!(json.contains("\"host\": \"real\""), "{json}");
            let step = values(&json, "step04-proc");
            let found = ["ns.user", "root", "processes_in_reach"].map(|key| step[key].as_str());
            assert_eq!(found, [user, "rootfs", "0"], "{json}");
            // In a user namespace made by another, its mounts are copies that don't lead back: user_namespaces(7).
            let reach = if user == "new" { "false" } else { "true" };
            assert_eq!(values(&json, "step02-pid")["mounts_reach_host"], reach, "{json}");
            assert_eq!(values(&json, "host")["ns.user"], "shared", "{json}");
            assert_eq!(errors.contains("in a user namespace"), user == "new", "{errors}");
        }
    }
}
