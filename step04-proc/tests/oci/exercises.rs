//! The book's answers to the tasks of the chapter about podman.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};
use testkit::host::program_of;
use testkit::program::write_program;
use testkit::transcript::typed_to;

use super::{Bundle, assert_refused, bundle_of, quoted};

/// A config.json that a person can write by heart.
const BY_HAND: &str = r#"{
  "ociVersion": "1.0.2",
  "hostname": "by-hand",
  "root": {"path": "rootfs"},
  "process": {"args": ["sleep", "100"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
  "mounts": [
    {"type": "proc", "source": "proc", "destination": "/proc",
     "options": ["ro", "nosuid", "nodev", "noexec"]}
  ],
  "linux": {"namespaces": [{"type": "uts"}, {"type": "pid"}, {"type": "mount"}]}
}"#;

#[test]
fn a_config_json_written_by_hand_is_step_4_and_one_word_makes_its_root_read_only() {
    let set_up = format!("printf '%s\\n' {} >config.json; exec sh", quoted(BY_HAND));
    let lines = [
        "cat config.json",
        "oci create one && oci start one && oci state one | grep status",
        "pid=$(oci ps one); nsenter --target $pid --uts hostname",
        "cut -d' ' -f5,6 /proc/$pid/mountinfo",
        "oci kill one KILL; oci delete --force one",
        r#"sed -i 's/"rootfs"/"rootfs", "readonly": true/' config.json"#,
        "oci create one && oci start one && cut -d' ' -f5,6 /proc/$(oci ps one)/mountinfo",
    ];
    insta::assert_snapshot!("by-hand", typed_to(&mut bundle_of(&[]).shell(&set_up), &lines).unwrap());
}

#[test]
fn a_shell_finds_out_the_state_like_the_runtime() {
    let script = quoted(include_str!("../../examples/oci/exercises/state.sh"));
    let set_up = format!("printf %s {script} >state.sh; exec sh");
    let lines = [
        "compare() { sh state.sh /mnt/oci/one; oci state one | grep status; }",
        "oci create one; compare",
        "oci start one; compare",
        "cp /mnt/oci/one/state.json saved",
        r#"sed -i 's/"pid":[0-9]*/"pid":1/' /mnt/oci/one/state.json; compare"#,
        "cp saved /mnt/oci/one/state.json; compare",
        "oci kill one KILL; sleep 1; compare",
    ];
    insta::assert_snapshot!("state", typed_to(&mut bundle_of(&["sleep", "100"]).shell(&set_up), &lines).unwrap());
}

/// Applies an answer to a copy of the runtime, checks the result like our own code, and returns the program.
fn answer(name: &str) -> PathBuf {
    // Both answers are built as `oci`, so each is moved away before the other is built.
    static BUILD: Mutex<()> = Mutex::new(());
    let _guard = BUILD.lock();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let path = "step04-proc/examples/oci";
    let sources = directory.join(path);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&sources).unwrap();
    for file in fs::read_dir(repository.join(path)).unwrap().flatten().filter(|it| it.path().is_file()) {
        fs::copy(file.path(), sources.join(file.file_name())).unwrap();
    }
    fs::copy(repository.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let workspace = fs::read_to_string(repository.join("Cargo.toml")).unwrap();
    let is_used = |line: &&str| DEPENDENCIES.iter().any(|it| line.split(" = ").next() == Some(it));
    let dependencies = workspace.lines().filter(is_used).collect::<Vec<_>>().join("\n");
    let manifest = format!("[package]\nname = \"oci-{name}\"\n{MANIFEST}\n[dependencies]\n{dependencies}\n");
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();

    let mut apply = Command::new("git");
    apply.arg("apply").arg(repository.join(path).join("exercises").join(name).with_extension("diff"));
    // Or git would look for the files at the top of our repository.
    apply.current_dir(&directory).env("GIT_CEILING_DIRECTORIES", env!("CARGO_TARGET_TMPDIR"));
    assert!(apply.status().unwrap().success(), "{apply:?}");
    let mut fmt = Command::new("rustfmt");
    fmt.args(["--check", "--edition", "2024", "--config-path"]).arg(repository).arg(sources.join("main.rs"));
    assert!(fmt.status().unwrap().success(), "{fmt:?}");
    let (built, program) = (program_of(&directory.join("Cargo.toml"), "oci"), directory.join("oci"));
    write_program(&program, &fs::read(built).unwrap());
    program
}

/// Those of the workspace that the runtime needs.
const DEPENDENCIES: [&str; 5] = ["anyhow", "caps", "nix", "rustix", "serde_json"];

const MANIFEST: &str = r#"
version = "0.1.0"
edition = "2024"

[[bin]]
name = "oci"
path = "step04-proc/examples/oci/main.rs"

[lints.rust]
unsafe_code = "forbid"

[workspace]
"#;

static HOOK: LazyLock<PathBuf> = LazyLock::new(|| answer("hook"));
static PAUSE: LazyLock<PathBuf> = LazyLock::new(|| answer("pause"));

mod slow {
    use super::*;

    /// A bundle with hooks, and the runtime that runs them.
    fn hooked(args: &[&str], hooks: Value) -> Bundle {
        Bundle { runtime: HOOK.clone(), ..bundle_of(args) }.set("", "hooks", hooks)
    }

    #[test]
    #[ignore = "slow: compiles the runtime again"]
    fn a_hook_gets_the_state_and_reaches_into_the_container() {
        let set_up = r#"
            printf '%s\n' '#!/bin/sh' "pid=\$(tee /mnt/state | sed 's/.*\"pid\":\([0-9]*\).*/\1/')" \
                'nsenter --target $pid --uts hostname from-the-hook' >hook
            printf '%s\n' '#!/bin/sh' "grep -o '\"status\":\"[a-z]*\"'" >goodbye
            chmod +x hook goodbye; exec sh"#;
        let hooks = json!({
            "prestart": [{"path": "/mnt/bundle/hook"}],
            "poststop": [{"path": "/mnt/bundle/goodbye"}],
        });
        let lines = [
            r#"grep -o '"prestart[^]]*]' config.json; cat hook"#,
            r#"grep -o '"poststop[^]]*]' config.json; cat goodbye"#,
            "oci create one; nsenter --target $(oci ps one) --uts hostname",
            "oci start one; sleep 1",
            r#"grep -o '"status":"[a-z]*"' /mnt/state"#,
            "oci delete one",
        ];
        insta::assert_snapshot!("hook", typed_to(&mut hooked(&["hostname"], hooks).shell(set_up), &lines).unwrap());
    }

    #[test]
    #[ignore = "slow: compiles the runtime again"]
    fn a_hook_that_fails_ends_the_container_before_its_command() {
        let try_it = "oci create one; oci start one; echo $?; sleep 1; cat rootfs/tmp/ran; oci delete one; ls /mnt/oci";
        let ran = ["sh", "-c", "echo it ran >/tmp/ran"];
        let sh = |script: &str| json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        let last = json!({"path": "/bin/sh", "args": ["name", "-c", "echo $0 $A $HOME", "name"], "env": ["A=a=b"]});
        let poststop = json!([sh("exit 2"), last]);
        let warning = "oci: the poststop hook \"/bin/sh\": exit status: 2\nname a=b\n";
        for (hook, reason) in [
            (sh("exit 3"), "\"/bin/sh\": exit status: 3"),
            (sh("kill -9 $$"), "\"/bin/sh\": signal: 9 (SIGKILL)"),
            (
                json!({"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}),
                "\"/bin/sleep\": it took longer than 1 s",
            ),
            (json!({"path": "/no/such"}), "\"/no/such\": execve: No such file or directory (os error 2)"),
            (json!({"path": "sh"}), "\"sh\": its path is not absolute"),
        ] {
            // Neither the second hook nor the command runs.
            let hooks = json!({"prestart": [hook, sh("echo >rootfs/tmp/ran")], "poststop": poststop});
            let expected = format!(
                "{warning}oci: the prestart hook {reason}\n125\ncat: rootfs/tmp/ran: No such file or directory\n\
                 oci: there is no container one: open(\"/mnt/oci/one/state.json\"): No such file or directory (os error 2)\n"
            );
            assert_eq!(hooked(&ran, hooks).prints(try_it), expected);
        }
        // The control: this one succeeds, although it doesn't read the state.
        let hooks = json!({"prestart": [{"path": "/bin/true", "timeout": 9}], "poststop": poststop});
        assert_eq!(hooked(&ran, hooks).prints(try_it), format!("0\nit ran\n{warning}"));
    }

    #[test]
    #[ignore = "slow: compiles the runtime again"]
    fn other_kinds_of_hooks_are_still_refused() {
        let bundle = hooked(&["true"], json!({"createRuntime": [{"path": "/bin/true"}]}));
        assert_refused(&bundle, 125, "config.json: /hooks/createRuntime is not supported");
    }

    #[test]
    #[ignore = "slow: compiles the runtime again"]
    fn a_container_without_a_cgroup_cannot_be_paused() {
        let bundle = Bundle { runtime: PAUSE.clone(), ..bundle_of(&["sleep", "100"]) };
        let shown = bundle.prints("oci create one; oci pause one; oci start one; oci pause one; oci resume one");
        let expected = "oci: the container one is created, not running\noci: a pause needs cgroup v2 and linux.cgroupsPath\n\
            oci: the container one is running, not paused\n";
        assert_eq!(shown, expected);
    }
}

mod as_root {
    use super::*;

    /// A shell with a container that counts, on a host of root's with version 2 of cgroups, whichever the machine mounts.
    fn counting() -> Command {
        let count = "trap 'echo got SIGTERM' TERM; while true; do echo >>/tmp/count; sleep 0.01; done";
        let bundle = Bundle { runtime: PAUSE.clone(), ..bundle_of(&["sh", "-c", count]) }
            .set("/linux", "cgroupsPath", json!(format!("/mini-docker-test-{}", std::process::id())))
            .without_user_namespace();
        // A cgroup outlives the host.
        bundle.shell(
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit
             sh; status=$?; oci delete --force one; exit $status",
        )
    }

    #[test]
    #[ignore = "needs root, because an ordinary user's cgroup is seldom the user's own"]
    fn a_paused_container_stands_still_and_a_resumed_one_goes_on() {
        let lines = [
            "lines() { wc -l <rootfs/tmp/count; }",
            "counts() { a=$(lines); sleep 1; [ $(lines) -gt $a ] && echo it counts || echo it stands; }",
            "oci create one; oci start one; sleep 1; counts",
            "oci pause one; counts",
            "oci state one | grep status",
            "grep frozen $(grep -o '/sys/fs/cgroup[^\"]*' /mnt/oci/one/state.json)/cgroup.events",
            // Not the digit before, in which the end of a `sleep` may be pending, too.
            "oci kill one TERM; grep ShdPnd /proc/$(oci ps one | head -n 1)/status | tail -c 5",
            "timeout 9 oci exec one true; oci pause one",
            "oci resume one; counts",
            "oci state one | grep status",
            "oci pause one; oci kill one KILL; sleep 1; oci state one | grep status",
        ];
        insta::assert_snapshot!("pause", typed_to(&mut counting(), &lines).unwrap());
    }
}
