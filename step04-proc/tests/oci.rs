//! What callers of the OCI runtime, `examples/oci`, rely on.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::unistd::geteuid;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use testkit::host::{Host, example};
use testkit::transcript::typed_to;

/// The runtime.
static OCI: LazyLock<PathBuf> = LazyLock::new(|| example("step04-proc", "oci"));

#[path = "oci/exercises.rs"]
mod exercises;

/// A throwaway host with a bundle on a tmpfs, in which commands start: a config.json and a copy of the rootfs.
struct Bundle {
    host: Host,
    config: Value,
    /// The program that is `oci` there.
    runtime: PathBuf,
}

/// A bundle with the config.json that the book shows.
fn bundle() -> Bundle {
    let mut config: Value = serde_json::from_str(include_str!("../examples/oci/config.json")).unwrap();
    config["root"]["path"] = json!("rootfs");
    Bundle { host: Host::new(), config, runtime: OCI.clone() }
}

/// The same with another command.
fn bundle_of(args: &[&str]) -> Bundle {
    let mut bundle = bundle();
    bundle.config["process"]["args"] = json!(args);
    bundle
}

impl Bundle {
    /// The same on a host without a user namespace.
    fn without_user_namespace(self) -> Bundle {
        Bundle { host: self.host.as_root(), ..self }
    }

    /// Adds an element to a list in config.json.
    fn add(mut self, path: &str, value: Value) -> Bundle {
        self.config.pointer_mut(path).and_then(Value::as_array_mut).unwrap().push(value);
        self
    }

    /// Sets a member of an object in config.json.
    fn set(mut self, path: &str, name: &str, value: Value) -> Bundle {
        self.config.pointer_mut(path).and_then(Value::as_object_mut).unwrap().insert(name.into(), value);
        self
    }

    /// Returns a shell in the bundle. `run` is the shell function that takes a container from its creation to its end.
    fn shell(&self, script: &str) -> Command {
        let set_up = format!(
            "export XDG_RUNTIME_DIR=/mnt PATH={}:$PATH
            mount -t tmpfs tmpfs /mnt && mkdir /mnt/bundle && cp -a rootfs /mnt/bundle/ && cd /mnt/bundle || exit
            printf %s {} >config.json
            run() {{ oci create one && oci start one && while oci state one | grep running >/dev/null; do sleep 0.01; done && oci delete one; }}
            {script}",
            quoted(&self.runtime.parent().unwrap().to_string_lossy()),
            quoted(&self.config.to_string()),
        );
        self.host.sh(&set_up)
    }

    fn output(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    /// Returns what a script prints on stdout and stderr.
    fn prints(&self, script: &str) -> String {
        let output = self.output(&format!("exec 2>&1; {script}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Quotes a word for the shell. The environment of a throwaway host is always the same, so nothing can be passed in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Asserts that `create` refuses a bundle with this status and line, and leaves nothing behind.
#[track_caller]
fn assert_refused(bundle: &Bundle, status: i32, line: &str) {
    let shown = bundle.prints("oci create one; echo $?; ls /mnt/oci 2>/dev/null");
    assert_eq!(shown, format!("oci: {line}\n{status}\n"));
}

#[test]
fn a_container_starts_in_two_phases_and_cat_is_the_second() {
    let lines = [
        "oci create one",
        "oci state one | grep status",
        "ls /mnt/oci/one",
        "cat /mnt/oci/one/start; sleep 1",
        "oci state one | grep status",
        "oci delete one; ls /mnt/oci",
        "oci state one; echo $?",
    ];
    insta::assert_snapshot!("phases", typed_to(&mut bundle().shell("exec sh"), &lines).unwrap());
}

#[test]
fn the_container_has_what_step_4_has() {
    let shown = bundle().prints("run; hostname; grep -c /mnt/bundle/rootfs/proc /proc/mounts");
    assert_eq!(shown.lines().next(), Some("mini-docker"), "{shown}");
    // The command is process 1, so there is no `child`. The last two lines are the host's.
    assert!(shown.contains("1 /bin/ps -o pid,args\n") && shown.ends_with("\nhost\n0\n"), "{shown}");
}

#[test]
fn create_reports_a_command_that_cannot_be_started() {
    for (program, status, errno) in [
        ("no-such", 127, "ENOENT: No such file or directory"),
        ("/no/such", 127, "ENOENT: No such file or directory"),
        ("/etc/passwd", 126, "EACCES: Permission denied"),
        ("/etc", 126, "EACCES: Permission denied"),
    ] {
        assert_refused(&bundle_of(&[program]), status, &format!("execve({program:?}): {errno}"));
    }
    let log = bundle_of(&["no-such"]).prints("oci --log log create one 2>/dev/null; cat log");
    assert_eq!(log, "error: execve(\"no-such\"): ENOENT: no such file or directory\n");
    // The control.
    assert_eq!(bundle_of(&["true"]).prints("oci create one; echo $?"), "0\n");
}

#[test]
fn start_reports_what_only_execve_finds_out() {
    let bundle = bundle_of(&["/tmp/text"]);
    let shown = bundle.prints("printf '#!/no/such\\n' >rootfs/tmp/text; chmod +x rootfs/tmp/text; oci create one; echo $?; oci start one; echo $?");
    assert_eq!(shown, "0\noci: execve(\"/tmp/text\"): ENOENT: No such file or directory\n127\n");
}

#[test]
fn exec_joins_the_container_and_returns_the_commands_status() {
    let bundle = bundle_of(&["sleep", "100"]);
    let shown = bundle.prints(
        "oci create one; oci start one
         oci exec one sh -c 'hostname; echo /proc/[0-9]*; exit 7'; echo $?
         oci exec one no-such; echo $?
         oci exec --detach --pid-file pid one sleep 50; echo $?
         tr '\\0' ' ' </proc/$(cat pid)/cmdline; echo
         [ $(readlink /proc/$(cat pid)/ns/mnt) = $(readlink /proc/self/ns/mnt) ] || echo elsewhere
         oci ps one | grep -c .
         oci delete --force one; while [ -e /proc/$(cat pid) ]; do sleep 0.01; done; echo gone",
    );
    let expected = "mini-docker\n/proc/1 /proc/2\n7\noci: execve(\"no-such\"): ENOENT: No such file or directory\n127\n0\n\
        sleep 50 \nelsewhere\n2\ngone\n";
    assert_eq!(shown, expected);
}

#[test]
fn exec_takes_another_process_from_a_file() {
    let bundle = bundle_of(&["sleep", "100"]);
    let shown = bundle.prints(
        "oci create one; oci start one
         echo '{\"args\": [\"sh\", \"-c\", \"pwd; echo $A\"], \"env\": [\"PATH=/bin\", \"A=b=c\"], \"cwd\": \"/tmp\"}' >process.json
         oci exec --process process.json one; echo $?",
    );
    assert_eq!(shown, "/tmp\nb=c\n0\n");
}

#[test]
fn the_state_is_what_the_kernel_says() {
    let shown = bundle_of(&["sleep", "100"]).prints(
        "state() { oci state one | grep status; }
         oci create one; state; oci start one; state
         start=$(sed 's/.*\"startTime\":\\([0-9]*\\).*/\\1/' /mnt/oci/one/state.json)
         # As if another process had its PID now.
         sed -i \"s/:$start/:1/\" /mnt/oci/one/state.json; state
         sed -i \"s/:1}/:$start}/\" /mnt/oci/one/state.json; state
         # A zombie: its parent doesn't wait. Before that, as the control, it's alive.
         sh -c 'sleep 50 & echo $! >zombie; exec sleep 50' &
         while [ ! -s zombie ]; do sleep 0.01; done
         pid=$(cat zombie); set -- $(cat /proc/$pid/stat); shift 21
         echo \"{\\\"pid\\\": $pid, \\\"startTime\\\": $1}\" >/mnt/oci/one/state.json; state
         kill $pid; while ! grep -q 'State:.Z' /proc/$pid/status; do sleep 0.01; done; state",
    );
    let states = ["created", "running", "stopped", "running", "running", "stopped"];
    let expected: String = states.map(|it| format!("  \"status\": \"{it}\"\n")).concat();
    assert_eq!(shown, expected);
}

#[test]
fn kill_takes_names_and_numbers_and_delete_insists_on_an_end() {
    let shown = bundle_of(&["sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.01; done"]).prints(
        "lines() { while [ $(wc -l <out) -lt $1 ]; do sleep 0.01; done; }
         oci create one >out; oci start one; lines 1
         count=1; for signal in USR1 SIGUSR1 10; do oci kill one $signal; count=$((count + 1)); lines $count; done; cat out
         oci kill one NONE; echo $?
         oci delete one; echo $?
         oci start one; echo $?
         oci kill one KILL; while oci state one | grep running >/dev/null; do sleep 0.01; done; oci kill one KILL; echo $?
         oci delete one; echo $?
         oci delete one; oci delete --force one; echo $?",
    );
    let expected = "ready\ngot it\ngot it\ngot it\noci: there is no signal NONE\n125\n\
        oci: the container one is running: kill it first, or use --force\n125\n\
        oci: the container one is running, not created\n125\n\
        oci: the container one is stopped: no such process\n125\n0\n\
        oci: there is no container one: open(\"/mnt/oci/one/state.json\"): No such file or directory (os error 2)\n0\n";
    assert_eq!(shown, expected);
}

#[test]
fn files_are_read_only_or_hidden_as_config_json_says() {
    let look = "for file in /x /tmp/x /proc/sys/kernel/hostname /data/x; do true 2>/dev/null >$file && echo $file; done
        cat /proc/version; ls /sys; echo; cat /data/y; ls -l /dev/null | cut -c 1-10; cat /dev/fd/0 </dev/zero | head -c 1 | wc -c";
    let open = bundle_of(&["sh", "-c", look])
        .set("/mounts/0", "options", json!([]))
        .add("/mounts", json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}))
        .add("/mounts", json!({"destination": "/data", "type": "bind", "source": "data"}))
        .add("/mounts", json!({"destination": "/sys", "type": "bind", "source": "data", "options": ["rbind"]}));
    let run = "mkdir data; echo of the host >data/y; run; cat data/x";
    // The control. The file belongs to the machine's root, whom an ordinary user's namespace doesn't have.
    let sysctl = if geteuid().is_root() { "/proc/sys/kernel/hostname\n" } else { "" };
    let shown = open.prints(run);
    assert!(shown.starts_with(&format!("/x\n/tmp/x\n{sysctl}/data/x\nLinux version")), "{shown}");
    assert!(shown.ends_with("\nx\ny\n\nof the host\ncrw-rw-rw-\n1\n"), "{shown}");
    let closed = open
        .set("/root", "readonly", json!(true))
        .set("/linux", "maskedPaths", json!(["/proc/version", "/sys", "/no/such"]))
        .set("/linux", "readonlyPaths", json!(["/proc/sys", "/no/such"]))
        .set("/mounts/2", "options", json!(["rbind", "ro", "rprivate"]))
        .add("/mounts", json!({"destination": "/tmp", "type": "tmpfs", "options": ["size=64k"]}));
    assert_eq!(closed.prints(run), "/tmp/x\n\nof the host\ncrw-rw-rw-\n1\ncat: data/x: No such file or directory\n");
}

#[test]
fn a_read_only_dev_gets_its_devices_first_and_a_mount_has_the_source_of_config_json() {
    let look =
        "true 2>/dev/null >/dev/x || echo read-only; true >/dev/shm/x && echo writable; ls -l /dev/null | cut -c 1-10
        awk '$5 == \"/dev\" { print substr($6, 1, 9), $(NF - 1) }' /proc/self/mountinfo";
    let options = json!(["nosuid", "mode=755", "ro"]);
    let bundle = bundle_of(&["sh", "-c", look])
        .add("/mounts", json!({"destination": "/dev", "type": "tmpfs", "source": "a name", "options": options}))
        .add("/mounts", json!({"destination": "/dev/shm", "type": "tmpfs"}));
    assert_eq!(bundle.prints("run"), "read-only\nwritable\ncrw-rw-rw-\nro,nosuid a\\040name\n");
}

#[test]
fn the_command_gets_the_limits_capabilities_and_environment_of_config_json() {
    let look = "ulimit -n; umask; cat /proc/self/oom_score_adj; echo $A; env | wc -l; grep -E '^(Cap|NoNew)' /proc/self/status; ls /proc/self/fd | wc -l";
    let bundle = bundle_of(&["sh", "-c", look])
        .set("/process", "rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]))
        .set("/process/user", "umask", json!(0o27))
        .set("/process", "oomScoreAdj", json!(500))
        .add("/process/env", json!("A=a=b"))
        .set("/process", "noNewPrivileges", json!(true))
        .set("/process", "capabilities", json!({
            "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_FROM_THE_FUTURE"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"],
            "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_KILL"],
        }));
    // What is opened as 9 isn't passed on.
    let shown = bundle.prints("exec 9</; unset A; B=b; export B; run");
    let expected = "77\n0027\n500\na=b\n";
    assert!(shown.starts_with(expected), "{shown}");
    let line =
        |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!(
        [line("CapInh:"), line("CapPrm:"), line("CapBnd:")].map(|it| it[8..].to_owned()),
        ["00000001", "00000020", "00000021"]
    );
    assert_eq!(line("NoNewPrivs:"), "1");
    assert!(shown.ends_with("\n4\n"), "{shown}");
}

#[test]
fn the_terminal_is_handed_over_through_a_socket() {
    let look = "tty; test -t 0 && test -t 1 && test -t 2 && echo three; exec 3<>/dev/tty && echo mine; ls /dev/console";
    let bundle = bundle_of(&["sh", "-c", look])
        .set("/process", "terminal", json!(true))
        .add("/mounts", json!({"destination": "/dev", "type": "tmpfs", "options": ["mode=755"]}))
        .add(
            "/mounts",
            json!({"destination": "/dev/pts", "type": "devpts", "options": ["newinstance", "ptmxmode=0666"]}),
        );
    assert_refused(&bundle, 125, "process.terminal needs --console-socket");

    let path = std::env::temp_dir().join(format!("mini-docker-console-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let socket = quoted(&path.to_string_lossy());
    let waits = "while oci state one | grep -q running; do sleep 0.01; done";
    let mut shell = bundle.shell(&format!("oci create --console-socket {socket} one && oci start one && {waits}"));
    let mut shell = shell.spawn().unwrap();
    let (socket, _) = listener.accept().unwrap();
    fs::remove_file(&path).unwrap();
    let (mut name, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&socket, &mut [IoSliceMut::new(&mut name)], &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
    let Some(RecvAncillaryMessage::ScmRights(mut received)) = ancillary.drain().next() else { panic!("no descriptor") };
    let mut output = Vec::new();
    // The end, when everyone inside has closed the terminal, is EIO.
    let end = File::from(received.next().unwrap()).read_to_end(&mut output).unwrap_err();
    assert_eq!(end.raw_os_error(), Some(Errno::EIO as i32));
    assert_eq!(String::from_utf8_lossy(&output), "/dev/pts/0\r\nthree\r\nmine\r\n/dev/console\r\n");
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_container_joins_the_namespaces_of_another_by_their_paths() {
    let bundle = bundle_of(&["sleep", "100"]).add("/linux/namespaces", json!({"type": "ipc"}));
    let mut second = bundle.config.clone();
    second["process"]["args"] = json!(["sh", "-c", "hostname; echo /proc/[0-9]*; sleep 100"]);
    second["hostname"] = json!("");
    second["linux"]["namespaces"] = json!([
        {"type": "mount"}, {"type": "uts", "path": "/mnt/uts"}, {"type": "pid", "path": "/mnt/pid"}, {"type": "ipc", "path": "/mnt/ipc"},
    ]);
    let second = quoted(&second.to_string());
    let shown = bundle.prints(&format!(
        "oci create --pid-file one.pid one; oci start one; one=$(cat one.pid)
         for kind in uts pid ipc; do : >/mnt/$kind; mount --bind /proc/$one/ns/$kind /mnt/$kind; done
         printf %s {second} >config.json
         oci create --pid-file two.pid two; oci start two; two=$(cat two.pid); sleep 1
         for kind in uts pid ipc mnt; do [ $(readlink /proc/$one/ns/$kind) = $(readlink /proc/$two/ns/$kind) ] && echo $kind; done"
    ));
    assert_eq!(shown, "mini-docker\n/proc/1 /proc/2\nuts\npid\nipc\n");
}

#[test]
fn what_is_not_supported_is_refused() {
    let plain = || bundle_of(&["true"]);
    assert_refused(
        &plain().set("", "hooks", json!({"prestart": [{"path": "/bin/true"}]})),
        125,
        "config.json: /hooks is not supported",
    );
    assert_refused(
        &plain().add("/linux/namespaces", json!({"type": "user"})),
        125,
        "config.json: a namespace of the type \"user\" is not supported",
    );
    assert_refused(
        &plain().set("/linux", "namespaces", json!([{"type": "pid"}])),
        125,
        "config.json: a container without a mount namespace is not supported",
    );
    assert_refused(
        &plain().set("/linux", "namespaces", json!([{"type": "mount"}])),
        125,
        "config.json: a hostname needs a uts namespace",
    );
    assert_refused(
        &plain().set("/linux", "sysctl", json!({"kernel.panic": "1"})),
        125,
        "config.json: the sysctl kernel.panic belongs to the host",
    );
    assert_refused(
        &plain().set("/linux", "sysctl", json!({"net.ipv4.ip_forward": "1"})),
        125,
        "config.json: the sysctl net.ipv4.ip_forward needs a namespace of the type network",
    );
    assert_refused(
        &plain().set("/process", "rlimits", json!([{"type": "RLIMIT_LUCK", "soft": 1, "hard": 1}])),
        125,
        "there is no limit \"RLIMIT_LUCK\"",
    );
    // Seccomp is ignored, because every caller asks for it, and the log says so.
    let ignored = plain().set("/linux", "seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    let shown = ignored.prints("oci --log log --log-format json create one && cat log");
    assert_eq!(shown, "{\"level\":\"warning\",\"msg\":\"config.json: /linux/seccomp is ignored\"}\n");
}

#[test]
fn a_wrong_command_line_gets_one_line() {
    let shown = bundle_of(&["true"]).prints(
        "oci --systemd-cgroup --log why create one; cat why; oci --cgroup-manager systemd create one; oci create; oci checkpoint one; oci create ../one; oci create --bundle /no one
         oci create --bundle; oci create one; oci --log log create one; cat log; echo x >config.json; oci create two; oci --version",
    );
    let usage = "oci: usage: oci create|start|state|kill|delete|exec|ps [OPTION...] ID [ARG...]\n";
    let expected = format!(
        "oci: there is no option --systemd-cgroup\nerror: there is no option --systemd-cgroup\n\
         oci: --cgroup-manager takes cgroupfs or disabled\n{usage}{usage}\
         oci: an ID is the name of a directory, not \"../one\"\n\
         oci: realpath(\"/no\"): No such file or directory (os error 2)\n\
         oci: --bundle takes a value\n\
         oci: mkdir(\"/mnt/oci/one\"): File exists (os error 17)\n\
         error: mkdir(\"/mnt/oci/one\"): File exists (os error 17)\n\
         oci: \"/mnt/bundle/config.json\" is not JSON: expected value at line 1 column 1\n\
         oci 0.1.0\nspec: 1.0.2\n"
    );
    assert_eq!(shown, expected);
}

#[test]
fn the_program_on_the_host_is_out_of_the_containers_reach() {
    let shown = bundle_of(&["true"]).prints("oci create --pid-file pid one; readlink /proc/$(cat pid)/exe");
    assert_eq!(shown, "/memfd:oci (deleted)\n");
}

#[test]
fn exec_is_another_process_in_the_same_namespaces() {
    let lines =
        ["oci create one; oci start one", "oci exec one ps -o pid,args", "oci exec one sh -c 'exit 7'; echo $?"];
    let mut bundle = bundle_of(&["sleep", "100"]);
    bundle.config["hostname"] = json!("mini-docker");
    insta::assert_snapshot!("exec", typed_to(&mut bundle.shell("exec sh"), &lines).unwrap());
}

#[test]
fn a_pod_is_namespaces_joined_by_their_paths() {
    let mut second = bundle().config;
    second["hostname"] = json!("");
    second["root"]["path"] = json!("../rootfs");
    second["linux"]["namespaces"] =
        json!([{"type": "uts", "path": "/mnt/pod/uts"}, {"type": "pid", "path": "/mnt/pod/pid"}, {"type": "mount"}]);
    let set_up = format!("mkdir two; echo {} >two/config.json; exec sh", quoted(&second.to_string()));
    let lines = [
        "oci create one; oci start one",
        "ln -s /proc/$(oci ps one)/ns /mnt/pod",
        r#"grep -o '{[^{]*"path":"/mnt[^}]*}' two/config.json"#,
        "oci create --bundle two two; oci start two; sleep 1",
    ];
    insta::assert_snapshot!("pod", typed_to(&mut bundle_of(&["sleep", "100"]).shell(&set_up), &lines).unwrap());
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: makes many containers"]
    fn a_container_can_be_deleted_before_it_starts() {
        let host = bundle_of(&["sleep", "100"]);
        // Many times, because what /proc shows of a process that is being killed depends on the moment.
        let shown = host.prints("for n in $(seq 60); do oci create one && oci delete --force one; done; ls /mnt/oci");
        assert_eq!(shown, "");
    }

    #[test]
    #[ignore = "slow: makes many bundles"]
    fn an_image_cannot_send_a_mount_or_a_file_outside() {
        for mount in [
            json!({"destination": "/link", "type": "bind", "source": "data"}),
            json!({"destination": "/link/new/directory", "type": "bind", "source": "data"}),
            json!({"destination": "/link/file", "type": "bind", "source": "config.json"}),
            json!({"destination": "/link/dev", "type": "tmpfs"}),
        ] {
            let bundle = bundle_of(&["true"]).add("/mounts", mount.clone());
            let attempt = |link: &str| {
                bundle.prints(&format!(
                    "mkdir data rootfs/tmp/inside /mnt/outside; echo secret >/mnt/outside/secret; ln -s {link} rootfs/link
                     oci create one 2>/dev/null && oci start one; find /mnt/outside; grep -c outside /proc/mounts
                     find rootfs/tmp/inside | grep -c ."
                ))
            };
            // The control: a link that stays inside is followed.
            let made = mount["destination"].as_str().unwrap().matches('/').count();
            assert!(attempt("/tmp/inside").ends_with(&format!("{made}\n")), "{mount}");
            // Each of these leads to a directory of the host, if it is followed there.
            for link in ["/mnt/outside", "/proc/self/cwd/mnt/outside", "../../outside", "/proc/1/cwd/mnt/outside"] {
                assert_eq!(attempt(link), "/mnt/outside\n/mnt/outside/secret\n0\n1\n", "{link}: {mount}");
            }
        }
    }

    #[test]
    #[ignore = "slow: makes many bundles"]
    fn an_image_cannot_make_the_host_its_working_directory() {
        for fd in 3..12 {
            let bundle = bundle_of(&["ls", "secret"]).set("/process", "cwd", json!(format!("/proc/self/fd/{fd}")));
            let shown = bundle.prints(
                "echo >/mnt/secret; echo >/mnt/oci; rm /mnt/oci; mkdir -p /mnt/oci; echo >/mnt/oci/secret; run",
            );
            assert!(shown.starts_with(&format!("oci: openat2(\"/proc/self/fd/{fd}\"): E")), "{shown}");
        }
    }

    #[test]
    #[ignore = "slow: makes many bundles"]
    fn an_image_cannot_start_a_program_of_the_host() {
        // Our process has a directory of the host open as one of these, until it starts the command.
        for fd in 3..12 {
            let program = format!("/proc/self/fd/{fd}/../../tool");
            let shown = bundle_of(&[&program]).prints(
                "printf '#!/bin/sh\\necho escaped\\n' >/mnt/tool; chmod +x /mnt/tool; oci create one && oci start one",
            );
            assert!(shown.starts_with(&format!("oci: execve({program:?}): ENO")), "{shown}");
        }
    }
}

mod with_podman {
    use super::*;

    /// Returns a shell on a host of root's on which podman has storage of its own, and an image of the rootfs.
    fn podman() -> Command {
        let podman = r##"
            mkdir /mnt/bin && export PATH="/mnt/bin:$PATH" CONTAINERS_CONF=/mnt/containers.conf && unset XDG_RUNTIME_DIR
            for empty in /run /dev/shm; do mount -t tmpfs tmpfs $empty; done
            cat >/mnt/bin/podman <<'END'
#!/bin/sh
exec /usr/bin/podman --root /mnt/storage --runroot /mnt/run --storage-driver vfs --cgroup-manager cgroupfs "$@"
END
            cat >/mnt/containers.conf <<END
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
pids_limit = 0
[engine]
runtime_supports_nocgroup = ["logged", "crun"]
events_logger = "none"
tmp_dir = "/mnt/tmp"
END
            cat >logged <<'END'
#!/bin/sh
# Writes down what podman asks for, without paths and IDs, and lets our runtime do it.
echo "$*" | sed -E 's,/[^ ]*/,…/,g; s/[0-9a-f]{64}|[0-9]{5,}/ID/g' >>/mnt/log
exec /mnt/bin/oci "$@"
END
            cp "$(command -v oci)" /mnt/bin && chmod +x /mnt/bin/podman logged
            tar -C rootfs -c . | podman import --quiet - localhost/mini-docker >/dev/null || exit
            exec sh"##;
        bundle().without_user_namespace().shell(podman)
    }

    #[test]
    #[ignore = "needs podman and root"]
    fn podman_calls_its_runtime_at_each_turn_of_a_containers_life() {
        let lines = [
            "cat logged",
            "podman --runtime $PWD/logged run --rm --network=none mini-docker echo hi",
            "cat /mnt/log; rm /mnt/log",
            "podman --runtime $PWD/logged run --detach --name one --network=none mini-docker sleep 100 >/dev/null",
            "podman exec one echo inside",
            "podman rm --force --time 1 one 2>/dev/null",
            "cat /mnt/log",
        ];
        insta::assert_snapshot!("podman", typed_to(&mut podman(), &lines).unwrap());
    }
}

mod as_root {
    use super::*;

    #[test]
    #[ignore = "needs root, because a user namespace of an ordinary user has one user"]
    fn the_command_runs_as_the_user_of_config_json() {
        let bundle = bundle_of(&["sh", "-c", "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status; echo >/tmp/x; ls -n /tmp/x | cut -d' ' -f1"])
            .set("/process", "user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}))
            .set("/process", "capabilities", json!({
                "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            }))
            .without_user_namespace();
        let expected = "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t5 6 \nCapEff:\t0000000000000020\n-rw-r--r--\n";
        assert_eq!(bundle.prints("run"), expected);
    }
}
