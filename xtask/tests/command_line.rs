//! What a person meets who types `cargo xtask` and something.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::process::{Command, Output};

use xtask::host::Host;
use xtask::{rootfs, steps, workspace};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

fn xtask(args: &[&str]) -> Output {
    Command::new(XTASK).args(args).env_remove("RUST_BACKTRACE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A shell script on a throwaway host that can call cargo, as `xtask run` does.
fn on_host(script: &str) -> Output {
    on(&Host::new(), script)
}

fn on(host: &Host, script: &str) -> Output {
    let mut shell = host.command("env");
    // CARGO names the cargo that runs this test; it needs its home, and a rustc, which lies where this PATH says.
    for name in ["HOME", "PATH", "CARGO", "CARGO_HOME", "RUSTUP_HOME", rootfs::TEST_ROOM] {
        if let Some(value) = env::var_os(name) {
            shell.arg(format!("{name}={}", value.to_string_lossy()));
        }
    }
    shell.args(["sh", "-c", script]).output().unwrap()
}

#[test]
fn every_command_explains_itself() {
    let help = text(&xtask(&["--help"]).stdout);
    for command in [
        "run", "rootfs", "doctor", "host", "test", "compare", "workshop", "check", "hint", "diff", "reset", "catch-up",
        "status", "book", "bench", "soak", "ci",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{help}");
        let output = xtask(&[command, "--help"]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains(&format!("Usage: cargo xtask {command}")), "{}", text(&output.stdout));
    }
}

#[test]
fn a_typo_gets_a_suggestion_and_status_2() {
    for (args, suggestion) in [
        (&["rum", "step01"][..], "'run'"),
        (&["run", "stpe03"], "did you mean 'step03'?"),
        (&["run", "step9"], "(steps: step01-uts, step02-pid, step03-chroot, step04-proc)"),
        (&["run", "--privelege", "user", "1"], "'--privilege'"),
        (&["run", "--privilege", "users", "1"], "'user'"),
        (&["rootfs", "--sorce", "host"], "'--source'"),
        (&["run"], "<STEP>"),
        (&[], "Usage: cargo xtask <COMMAND>"),
    ] {
        let output = xtask(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(suggestion), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_step_has_many_names() {
    for name in ["step03-chroot", "step03", "step3", "03", "3", "chroot"] {
        assert_eq!(steps::find(name).unwrap().name, "step03-chroot", "{name}");
    }
    let steps = steps::all().unwrap();
    assert_eq!(steps.iter().map(|step| step.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(steps.iter().all(|step| !step.title.is_empty()));
}

#[test]
fn run_becomes_the_program() {
    let output = on_host(&format!("'{XTASK}' run 1 -- sh -c 'hostname; exit 7'"));
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(7), "mini-docker\n"),
        "{}",
        text(&output.stderr)
    );
    // A hyphen behind the command is the command's.
    let output = on_host(&format!("'{XTASK}' run step02 sh -c 'echo $$' --help"));
    assert_eq!(text(&output.stdout), "2\n", "{}", text(&output.stderr));
}

#[test]
fn the_program_does_not_see_cargos_environment() {
    let script = format!("CARGO_PKG_NAME=x LD_LIBRARY_PATH=/some/target/rustlib/lib:/mine '{XTASK}' run 1 env");
    let output = text(&on_host(&script).stdout);
    assert!(!output.contains("CARGO_PKG_NAME"), "{output}");
    assert!(output.contains("LD_LIBRARY_PATH=/mine\n"), "{output}");
}

#[test]
fn a_user_namespace_or_sudo_can_be_chosen() {
    let output =
        on_host(&format!("readlink /proc/self/ns/user; '{XTASK}' run --privilege user 1 readlink /proc/self/ns/user"));
    let output = text(&output.stdout);
    let (outside, inside) = output.trim().split_once('\n').unwrap();
    assert_ne!(outside, inside);

    let sudo = r#"place=$(mktemp -d); echo 'echo sudo "$@"' >$place/sudo; chmod +x $place/sudo; PATH=$place:$PATH"#;
    let output = on_host(&format!("{sudo}; '{XTASK}' run --privilege sudo 1 id -u; rm -r $place"));
    let output = text(&output.stdout);
    assert!(output.starts_with("sudo -- /") && output.ends_with("/step01-uts run id -u\n"), "{output}");
}

#[test]
fn where_nothing_works_the_refused_call_and_a_cure_are_named() {
    // A limit that counts in a user namespace, and forbids the next one in it.
    let script = format!("echo 0 >/proc/sys/user/max_uts_namespaces; '{XTASK}' run 1 true");
    let output = on(&Host::new().as_user(), &script);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("unshare(CLONE_NEWUTS): ENOSPC") && error.contains("`sudo sysctl"), "{error}");
}

#[test]
fn the_doctor_says_that_every_step_can_run() {
    let output = xtask(&["doctor"]);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}");
    for part in
        ["kernel", "user namespace", "step01-uts", "step04-proc", "mount of /", "curl", "gzip", "disk", "rootfs"]
    {
        assert!(report.contains(part), "no {part}: {report}");
    }
}

#[test]
fn the_book_explains_each_line_of_the_doctor() {
    let chapter = fs::read_to_string(workspace::root().join("book/text/set-up.md")).unwrap();
    let (_, section) = chapter.split_once("{#doctor}").unwrap();
    let explained: Vec<&str> = section.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    let output = xtask(&["doctor"]);
    let report = text(&output.stdout);
    let lines = report.lines().filter_map(|line| line.strip_prefix("  ")?.get(5..22)).map(str::trim);
    let unknown: Vec<&str> = lines
        // The table has one row for the steps, by their first.
        .map(|name| if name.starts_with("step") { "step01-uts …" } else { name })
        .filter(|name| !explained.iter().any(|row| row.split(", ").any(|row| row == *name)))
        .collect();
    assert!(unknown.is_empty() && report.contains("kernel"), "{unknown:?} in {explained:?}");
}

#[test]
fn nobody_needs_to_read_to_the_end() {
    for command in ["doctor", "--help", "compare", "run 1 -- yes", "host --die-with-parent -- yes"] {
        let output = on_host(&format!("'{XTASK}' {command} | head -n 1"));
        assert!(output.status.success() && !text(&output.stdout).is_empty(), "{command}");
        assert_eq!(text(&output.stderr), "", "{command}");
    }
}

#[test]
fn the_doctor_says_what_can_not_run() {
    let script = format!("echo 0 >/proc/sys/user/max_pid_namespaces; '{XTASK}' doctor");
    let output = on(&Host::new().as_user(), &script);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains("FAIL root") && report.contains("unshare(CLONE_NEWPID|CLONE_NEWNS): ENOSPC"), "{report}");
    assert!(report.contains("ok   step01-uts") && report.contains("FAIL step02-pid"), "{report}");
}

#[test]
fn the_host_passes_on_what_its_command_said() {
    let output = xtask(&["host", "--die-with-parent", "--", "sh", "-c", "hostname; exit 9"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(9), "host\n"), "{}", text(&output.stderr));
    assert_eq!(xtask(&["host", "--die-with-parent", "no-such-program"]).status.code(), Some(127));
}

#[test]
fn a_killed_host_leaves_nothing_behind() {
    let mut host = Command::new(XTASK).args(["host", "--die-with-parent", "sleep", "4243"]).spawn().unwrap();
    let sleeps = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|it| std::fs::read(it.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x004243\0")).count()
    };
    let wait_until = |count| {
        for _ in 0..1000 {
            if sleeps() == count {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("{} sleeps instead of {count}", sleeps());
    };
    wait_until(1);
    host.kill().unwrap();
    host.wait().unwrap();
    wait_until(0);
}
