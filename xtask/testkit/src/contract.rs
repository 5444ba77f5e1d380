//! For tests: the promises that every step keeps. [`crate::contract!`] gives a step these tests.
//!
//! They run on throwaway hosts, so that a step that breaks a promise breaks nothing else.

use std::os::unix::ffi::OsStrExt;
use std::process::Output;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use crate::host::Host;
use crate::terminal::Terminal;

/// Makes a test from each function of [`mod@crate::contract`], for the step of this package.
#[macro_export]
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod contract {
            $(
                #[test]
                fn $promise() {
                    ::testkit::contract::$promise(env!("CARGO_PKG_NAME"));
                }
            )*
        }
    };
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns what a script prints on a throwaway host.
#[track_caller]
fn assert_prints(host: &Host, script: &str, expected: &str) {
    let output = host.sh(script).output().expect("the host starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{script}: {}", stderr(&output));
}

/// A shell function that prints what a command prints, and then its exit status. The shell's own stderr, on which it would
/// report a death by a signal, is hidden.
const TRY: &str = "try() { { (exec \"$@\" 2>&1); echo \"$?\"; } 2>/dev/null; }\n";

/// The exit status is the command's own, 128 + n after signal n, or 127 or 126 if the command did not start.
pub fn the_exit_status_is_what_a_shell_would_report(step: &str) {
    let (mut script, mut expected) = (TRY.to_owned(), String::new());
    // Signal 40 is a real-time signal, which nix can't decode.
    for (command, status) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -40 $$", 168),
    ] {
        script += &format!("try {step} run sh -c '{command}'\n");
        expected += &format!("{status}\n");
    }
    let long = format!("/{}", "x".repeat(5000));
    for (program, status, errno) in [
        ("/no/such", 127, Errno::ENOENT),
        ("no-such", 127, Errno::ENOENT),
        ("", 127, Errno::ENOENT),
        ("/etc/passwd", 126, Errno::EACCES),
        ("/etc", 126, Errno::EACCES),
        (long.as_str(), 126, Errno::ENAMETOOLONG),
    ] {
        script += &format!("try {step} run '{program}'\n");
        expected += &format!("{step}: execve({program:?}): {errno}\n{status}\n");
    }
    assert_prints(&Host::new(), &script, &expected);
}

/// The command gets our stdin, stdout and stderr, and arguments of any bytes.
pub fn input_output_and_arguments_pass_through(step: &str) {
    let host = Host::new();
    let output =
        host.sh(&format!("printf 'from stdin' | {step} run sh -c 'cat; echo to stderr >&2'")).output().unwrap();
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout).as_ref(), stderr(&output).as_str()),
        ("from stdin", "to stderr\n")
    );

    let bytes = b"not UTF-8: \xff\xfe, a blank and a \n newline";
    let mut command = host.command(step);
    let output = command.args(["run", "printf", "%s"]).arg(std::ffi::OsStr::from_bytes(bytes)).output().unwrap();
    assert_eq!(output.stdout, bytes);

    // Rust ignores SIGPIPE. A command that inherited that would write for ever, or complain.
    let output = host.sh(&format!("{step} run yes | head -n 1; exit 0")).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), stderr(&output).as_str()), ("y\n", ""));
}

/// Bad input gets one line on stderr, and the right status.
pub fn bad_input_gets_one_line(step: &str) {
    let (mut script, mut expected) = (TRY.to_owned(), String::new());
    for args in ["", "run", "child", "rnu sh", "--help"] {
        script += &format!("try {step} {args}\n");
        expected += &format!("{step}: usage: {step} run COMMAND [ARG...]\n2\n");
    }
    // Root without the capability is refused what an ordinary user is refused.
    script += &format!("try setpriv --bounding-set=-sys_admin {step} run true\n");
    let flags = if step.starts_with("step01") { "CLONE_NEWUTS" } else { "CLONE_NEWUTS|CLONE_NEWPID|CLONE_NEWNS" };
    expected += &format!("{step}: unshare({flags}): {}\n125\n", Errno::EPERM);
    assert_prints(&Host::new(), &script, &expected);
}

/// The hostname inside is mini-docker, and the host keeps its own.
pub fn the_hostname_is_the_containers_own(step: &str) {
    assert_prints(&Host::new(), &format!("hostname; {step} run hostname; hostname"), "host\nmini-docker\nhost\n");
}

/// From step 2 on, a `child` that was started by hand refuses to work: as root it would rename the host, and do more damage.
pub fn child_by_hand_changes_nothing(step: &str) {
    let expected = format!("{step}: `child` is started by `run`; use `run`\n125\nhost\n");
    assert_prints(&Host::new(), &format!("{TRY}try {step} child true; hostname"), &expected);
}

/// From step 3 on, a bad rootfs gets one line that names the call.
pub fn a_bad_rootfs_gets_one_line(step: &str) {
    let script = format!(
        r#"{TRY}mount -t tmpfs tmpfs /mnt; cd /mnt
        try {step} run true
        echo >rootfs; try {step} run true
        rm rootfs; mkdir -m 0 rootfs
        # Root without the capability to enter any directory is like an ordinary user at a rootfs of root's.
        try setpriv --bounding-set=-dac_override,-dac_read_search {step} run true
        chmod 755 rootfs; try {step} run true"#
    );
    let mut expected = String::new();
    for errno in [Errno::ENOENT, Errno::ENOTDIR, Errno::EACCES] {
        expected += &format!("{step}: chroot(\"./rootfs\"): {errno}\n125\n");
    }
    // Step 4 needs a /proc to mount on. Step 3 gets as far as the command, which doesn't exist.
    let mount = "mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL)";
    let (call, status) = if step.starts_with("step03") { ("execve(\"true\")", 127) } else { (mount, 125) };
    assert_prints(&Host::new(), &script, &format!("{expected}{step}: {call}: {}\n{status}\n", Errno::ENOENT));
}

/// Shell functions for scripts on the throwaway host. Its /proc lists all of its processes.
const FUNCTIONS: &str = r#"
    # The PIDs of the processes whose command line is $1. `read` leaves out the NULs, so blanks don't count.
    pids() (
        set -- $1; IFS=
        for p in /proc/[0-9]*; do
            words=; read -r words 2>/dev/null <$p/cmdline
            [ "$words" = "$*" ] && echo ${p#/proc/}
        done
    )
    # Tries $1 until it succeeds, for 20 seconds at most.
    until_true() { n=0; until eval "$1"; do n=$((n+1)); [ $n -gt 2000 ] && echo "never: $1" && exit 1; sleep 0.01; done; }
    until_some() { until_true "[ -n \"\$(pids '$1')\" ]"; }
    until_none() { until_true "[ -z \"\$(pids '$1')\" ]"; }
"#;

/// From step 2 on, a signal that kills `run` ends the container, and no mount stays.
pub fn a_killed_run_leaves_nothing_behind(step: &str) {
    let host = Host::new();
    for (signal, number) in [("HUP", 1), ("KILL", 9), ("TERM", 15)] {
        let script = format!(
            r#"{FUNCTIONS}
            before=$(cat /proc/self/mountinfo)
            (until_some 'sleep 4242'; kill -{signal} $(pids '{step} run sleep 4242')
             (until_none 'sleep 4242') || kill -KILL $(pids 'sleep 4242')) &
            {step} run sleep 4242 2>/dev/null
            echo status $?
            until_none 'sleep 4242'
            until_none '/proc/self/exe child sleep 4242'
            [ "$before" = "$(cat /proc/self/mountinfo)" ] && echo no mount left"#
        );
        assert_prints(&host, &script, &format!("status {}\nno mount left\n", 128 + number));
    }
}

/// From step 2 on, INT and QUIT to `run` wait until the command has ended, because it may handle the same Ctrl-C.
pub fn ctrl_c_does_not_end_run(step: &str) {
    let script = format!(
        r#"{FUNCTIONS}
        ((until_some 'sleep 4242'; run=$(pids '{step} run sleep 4242')
          # INT is signal 2 and QUIT is 3: bits 1 and 2 of the mask.
          until_true "grep -q '^SigBlk:.*6$' /proc/$run/status"
          kill -INT $run; kill -QUIT $run; sleep 0.1; kill -TERM $(pids 'sleep 4242')) ||
         kill -KILL $(pids 'sleep 4242')) &
        {step} run sleep 4242
        echo status $?"#
    );
    assert_prints(&Host::new(), &script, "status 143\n");
}

/// From step 2 on, the command's own children die as well when `run` is killed.
pub fn a_killed_run_takes_the_whole_family_with_it(step: &str) {
    let script = format!(
        r#"{FUNCTIONS}
        {step} run sh -c 'sleep 4242; :' 2>/dev/null &
        until_some 'sleep 4242'; kill -KILL $!; until_none 'sleep 4242'; echo none left"#
    );
    assert_prints(&Host::new(), &script, "none left\n");
}

/// A command that makes an orphan, `sleep 4242`, and becomes `sleep 4243`. A child kills its parent, because BusyBox's shell
/// can't start a background job without /dev/null.
const MAKE_AN_ORPHAN: &str = r#"sh -c 'sh -c "$1"; exec sleep 4243' sh 'sh -c "kill -9 \$PPID; exec sleep 4242"; :'"#;

/// From step 2 on, the processes that the command left running end with it.
pub fn what_the_command_leaves_running_ends_with_it(step: &str) {
    let script = format!(
        r#"{FUNCTIONS}
        {step} run {MAKE_AN_ORPHAN} 2>/dev/null &
        until_some 'sleep 4242'; until_some 'sleep 4243'
        kill -KILL $(pids 'sleep 4243'); wait $!; echo status $?
        until_none 'sleep 4242'"#
    );
    assert_prints(&Host::new(), &script, "status 137\n");
}

/// From step 2 on, process 1 reaps the orphans of its namespace while the command runs.
pub fn orphans_are_reaped(step: &str) {
    // nix can't decode a death by signal 40, a real-time one.
    for signal in ["KILL", "40"] {
        let script = format!(
            r#"{FUNCTIONS}
            {step} run {MAKE_AN_ORPHAN} 2>/dev/null &
            until_some 'sleep 4242'; until_some 'sleep 4243'
            kill -{signal} $(pids 'sleep 4242'); until_none 'sleep 4242'
            until_true '! grep -q "^State:.Z" /proc/[0-9]*/status 2>/dev/null'
            until_some 'sleep 4243'; echo reaped"#
        );
        assert_prints(&Host::new(), &script, "reaped\n");
    }
}

/// Returns the complete environment in a container.
const ENVIRONMENT: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=xterm\n";

/// From step 3 on, nothing of the host's environment is inside except the terminal's name.
pub fn the_environment_is_the_containers_own(step: &str) {
    let script = |step: &str| format!("export SECRET=1 TERM=xterm; {step} run env | sort");
    assert_prints(&Host::new(), &script(step), ENVIRONMENT);
    // The control: step 2 passes on everything.
    let output = Host::new().sh(&script("step02-pid")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("\nSECRET=1\n"), "{}", stderr(&output));
}

/// From step 4 on, where the command can read it, the environment of process 1 holds nothing of the host's either.
pub fn the_environment_of_process_1_is_the_containers_own(step: &str) {
    let line = format!("export SECRET=1 TERM=xterm; {step} run sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | sort'");
    assert_prints(&Host::new(), &line, ENVIRONMENT);
}

/// How long a person waits before the next key.
const A_MOMENT: Duration = Duration::from_millis(300);

/// An interactive shell at a terminal of its own, as after a login.
fn login() -> Terminal {
    let mut command = Host::new().command("setsid");
    command.args(["--ctty", "--wait", "sh", "-i"]).env("TERM", "dumb");
    let mut terminal = Terminal::open(&mut command).unwrap();
    terminal.answer("echo $((6 * 7))\n", "42\r\n");
    terminal
}

/// An interactive shell inside has job control: Ctrl-C and Ctrl-Z reach its foreground job, and only that. Afterwards the
/// terminal is the caller's again, if the caller is an interactive shell.
pub fn a_shell_has_job_control(step: &str) {
    let mut terminal = login();
    terminal.type_keys(&format!("{step} run sh\n"));
    terminal.answer("PS1='ready> '; echo $((6 * 8))\n", "48\r\n");
    // It prints when it is in the foreground, and again when it has been continued. For a command that isn't in parentheses dash
    // calls vfork(2): Ctrl-Z may stop the child before its execve(2), and the parent, which waits for that, can't stop.
    let job = r#"sh -c 'trap "echo go""on" CONT; echo re""ady; while :; do (sleep 0.1); done'"#;
    terminal.answer(&format!("{job}\n"), "ready\r\n");
    terminal.answer("\x1a", "Stopped");
    terminal.answer("jobs; fg\n", "goon\r\n");
    terminal.type_keys("\x03");
    let shown = terminal.answer("echo status $?\n", "status 130");
    assert!(!shown.contains("job control turned off"), "{shown}");
    terminal.type_keys("exit 5\n");
    let shown = terminal.answer("echo ba\"\"ck: $?\n", "back: ");
    // In a PID namespace, dash can't give back the terminal. It complains, and ends with status 2.
    terminal.wait_for(if shown.contains("Cannot set tty process group") { "2\r\n" } else { "5\r\n" });
    terminal.type_keys("read line\n");
    terminal.type_keys("the terminal works\n");
    terminal.answer("echo \"got <$line>\"; exit\n", "got <the terminal works>");
    assert!(terminal.wait().success());
}

/// Ctrl-C also reaches `run`, but the command decides what it means, even if stdin isn't the terminal.
pub fn the_command_may_handle_ctrl_c(step: &str) {
    let command = r#"sh -c 'trap "echo cleaned up; exit 6" INT; echo rea""dy; while :; do sleep 0.1; done'"#;
    for line in [
        format!("{step} run {command}"),
        format!("{step} run {command} </dev/null"),
        format!("sleep 4242 | {step} run {command}"),
    ] {
        let mut terminal = login();
        terminal.answer(&format!("{line}; echo back: $?\n"), "ready");
        thread::sleep(A_MOMENT);
        terminal.answer("\x03", "cleaned up");
        terminal.wait_for("back: 6");
    }
}

/// A shell learns the size of the window, and learns when it changes.
pub fn a_shell_follows_the_window(step: &str) {
    let mut terminal = login();
    terminal.type_keys(&format!("{step} run sh\n"));
    terminal.answer("stty size\n", "24 80");
    // In a script, because a BusyBox shell that waits for a line doesn't run this trap.
    terminal.answer("sh -c 'trap \"echo re\"\"sized\" WINCH; echo re\"\"ady; while :; do sleep 0.1; done'\n", "ready");
    terminal.resize(132);
    terminal.wait_for("resized");
    terminal.type_keys("\x03");
    terminal.answer("stty size\n", "24 132");
}
