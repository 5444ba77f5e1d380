//! What a chroot with a /proc of its own does not stop either.
#![cfg(target_os = "linux")]

use std::fs;

use xtask::escape;
use xtask::host::Host;
use xtask::terminal::Terminal;
use xtask::transcript::transcript;

#[test]
fn a_root_climbs_out_to_the_hosts_files_and_proc() {
    let attack = [
        // Each with its control before it. The namespaces stay what they are: only the chroot is left.
        "step04-proc run ls /mnt",
        "step04-proc run /tmp/escape ls /mnt",
        "step04-proc run cat /proc/1/comm",
        "step04-proc run /tmp/escape cat /proc/1/comm",
        "step04-proc run /tmp/escape hostname",
    ];
    insta::assert_snapshot!("proc", transcript(&escape::host(), &[&escape::SET_UP[..], &attack].concat()));
}

#[test]
fn who_is_out_of_the_chroot_enters_the_hosts_namespaces_again_but_not_its_pid_namespace() {
    let inside = |command: &str| {
        let script = format!("{} && step04-proc run {command}", escape::SET_UP.join(" && "));
        let output = escape::host().sh(&script).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    // Where the host's /proc is, there are its namespaces.
    let [shown, _] = inside("/tmp/escape nsenter --target 1 --uts --mount hostname");
    assert_eq!(shown, "host\n");
    let [shown, why] = inside("/tmp/escape nsenter --target 1 --pid hostname");
    assert!(shown.is_empty() && why.contains("Invalid argument"), "{why}");
    // The control: out of the chroot alone, the name is still the container's.
    assert_eq!(inside("/tmp/escape hostname")[0], "mini-docker\n");
}

#[test]
fn an_open_directory_is_a_way_out_for_whoever_inherits_it() {
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

/// What the kernel says to a program in step 4 that types `echo typed` into the host's terminal, and what its shell then reads.
fn typed_from_inside(host: &Host) -> Terminal {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/type.c");
    // Static, as the rootfs need not have our C library.
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
    let said = terminal.wait_for("in a session of its own: 1");
    // Before Linux 6.2 there was no such setting.
    let forbidden = fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|setting| setting.trim() == "0");
    if forbidden {
        terminal.wait_for("ioctl(0, TIOCSTI): Input/output error");
        terminal.wait_for("refused");
    } else {
        assert!(said.contains("ioctl(0, TIOCSTI): Operation not permitted"), "{said}");
        terminal.wait_for("the host reads: echo typed");
    }
    assert!(terminal.wait().success());
}

#[test]
#[ignore = "needs root, whom no setting of the kernel keeps from it"]
fn a_real_root_types_into_the_hosts_shell_whatever_the_kernel_is_told() {
    let mut terminal = typed_from_inside(&Host::new().as_root());
    // Not even a session of its own stops it; the `x` comes first.
    terminal.wait_for("in a session of its own: 0");
    terminal.wait_for("the host reads: xecho typed");
    assert!(terminal.wait().success());
}
