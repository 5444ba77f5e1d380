//! What a chroot does not stop, even with a /proc of its own.
#![cfg(target_os = "linux")]

use std::fs;

use testkit::escape;
use testkit::host::Host;
use testkit::terminal::Terminal;
use testkit::transcript::transcript;

#[test]
fn root_climbs_out_to_the_hosts_files_and_proc() {
    let attack = [
        // Each after its control. The attack leaves only the chroot, not the namespaces.
        "step04-proc run ls /mnt",
        "step04-proc run /tmp/escape ls /mnt",
        "step04-proc run cat /proc/1/comm",
        "step04-proc run /tmp/escape cat /proc/1/comm",
        "step04-proc run /tmp/escape hostname",
    ];
    insta::assert_snapshot!("proc", transcript(&escape::host(), &[&escape::SET_UP[..], &attack].concat()));
}

#[test]
fn an_escaped_root_enters_the_hosts_namespaces_except_the_pid_namespace() {
    let escaped = |command: &str| format!("step04-proc run /tmp/escape {command}; echo $?");
    let lines = [
        // By the files of the host's /proc. From util-linux 2.41 on, `--target 1` means the container's own process 1.
        escaped("nsenter --uts=/proc/1/ns/uts --mount=/proc/1/ns/mnt hostname"),
        escaped("nsenter --pid=/proc/1/ns/pid hostname"),
        // The control: without nsenter, the hostname is still the container's.
        escaped("hostname"),
    ];
    let set_up = escape::SET_UP.join(" && ");
    let output = escape::host().sh(&format!("{set_up} || exit\n{}", lines.join("\n"))).output().unwrap();
    let [shown, why] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(shown, "host\n0\n1\nmini-docker\n0\n", "{why}");
    assert!(why.contains("Invalid argument"), "{why}");
}

#[test]
fn an_inherited_open_directory_is_a_way_out() {
    let lines = [
        "mount -t tmpfs tmpfs /mnt",
        "echo 'only the host has this' >/mnt/secret",
        // The control: nothing open. Then `/` is open, as descriptor 9, and no attack program is needed.
        "step04-proc run ls /mnt",
        "step04-proc run cat /proc/self/fd/9/mnt/secret 9</",
        "step04-proc run sh -c 'cd /proc/self/fd/9/mnt && ls' 9</",
    ];
    insta::assert_snapshot!("fd", transcript(&Host::new(), &lines));
}

/// Starts a program in step 4 that types `echo typed` into the host's terminal. The terminal then shows the kernel's answer and
/// what the host's shell reads.
fn typed_from_inside(host: &Host) -> Terminal {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/type.c");
    // Static, because the rootfs may lack our C library.
    let script = format!(
        "mount -t tmpfs tmpfs rootfs/tmp && cc -static -o rootfs/tmp/type '{program}' || exit
         setsid --wait step04-proc run /tmp/type x; echo in a session of its own: $?
         if step04-proc run /tmp/type 'echo typed\n'; then read line; echo \"the host reads: $line\"; else echo refused; fi"
    );
    let mut command = host.command("setsid");
    Terminal::open(command.args(["--ctty", "--wait", "sh", "-c", &script])).unwrap()
}

#[test]
fn a_program_that_shares_the_terminal_types_into_the_hosts_shell_unless_the_kernel_forbids_it() {
    let mut terminal = typed_from_inside(&Host::new().as_user());
    // The control: setsid(2) takes the terminal away.
    let shown = terminal.wait_for("in a session of its own: 1");
    // The setting is new in Linux 6.2.
    let forbidden = fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|setting| setting.trim() == "0");
    if forbidden {
        terminal.wait_for("ioctl(0, TIOCSTI): Input/output error");
        terminal.wait_for("refused");
    } else {
        assert!(shown.contains("ioctl(0, TIOCSTI): Operation not permitted"), "{shown}");
        terminal.wait_for("the host reads: echo typed");
    }
    assert!(terminal.wait().success());
}

mod as_root {
    use super::*;

    #[test]
    #[ignore = "needs root, because only root is exempt from the setting"]
    fn real_root_types_into_the_hosts_shell_despite_the_setting() {
        let mut terminal = typed_from_inside(&Host::new().as_root());
        // Not even a session of its own stops it; the `x` comes first.
        terminal.wait_for("in a session of its own: 0");
        terminal.wait_for("the host reads: xecho typed");
        assert!(terminal.wait().success());
    }
}
