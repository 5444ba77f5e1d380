//! For tests: what every step promises, whatever its idea. [`crate::contract!`] gives a step these tests.
//!
//! They run on throwaway hosts, so that a step that breaks its promise breaks nothing else.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::host::Host;
use crate::terminal::Terminal;

/// Makes a test of each function of [`mod@crate::contract`], for the step of this package.
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

fn run(host: &Host, step: &str, args: &[&str]) -> Output {
    host.command(step).arg("run").args(args).stdin(Stdio::null()).output().expect("the host starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_one_line(output: &Output, status: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(text.lines().count(), 1, "not one line: {text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mini-docker-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the folder for temporary files can be written");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The exit status is the command's own, 128 + n after signal n, 127 or 126 if it did not start.
pub fn the_exit_status_is_what_a_shell_would_report(step: &str) {
    let host = Host::new();
    // Signal 40 is a real-time one, which has no name in nix.
    for (script, status) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -40 $$", 168),
    ] {
        let output = run(&host, step, &["sh", "-c", script]);
        assert_eq!(output.status.code(), Some(status), "{script}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{script}");
    }
    let execve = |program| format!("{step}: execve({program:?}): ");
    assert_one_line(&run(&host, step, &["/no/such"]), 127, &[&execve("/no/such"), "ENOENT"]);
    assert_one_line(&run(&host, step, &["no-such"]), 127, &[&execve("no-such"), "ENOENT"]);
    assert_one_line(&run(&host, step, &[""]), 127, &[&execve(""), "ENOENT"]);
    assert_one_line(&run(&host, step, &["/etc/passwd"]), 126, &[&execve("/etc/passwd"), "EACCES"]);
    assert_one_line(&run(&host, step, &["/etc"]), 126, &[&execve("/etc"), "EACCES"]);
    let long = "x".repeat(5000);
    assert_one_line(&run(&host, step, &[&format!("/{long}")]), 126, &["ENAMETOOLONG"]);
}

/// stdin, stdout and stderr are the command's, and its arguments are any bytes.
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

    // Rust ignores SIGPIPE; the command must not: it would go on writing for ever, or complain.
    let output = host.sh(&format!("{step} run yes | head -n 1; exit 0")).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), stderr(&output).as_str()), ("y\n", ""));
}

/// Bad input gets one line on stderr that tells what to do, and the right status.
pub fn bad_input_gets_one_line_and_a_cure(step: &str) {
    let host = Host::new();
    let usage = format!("{step}: usage: {step} run COMMAND [ARG...]");
    for args in [&[][..], &["run"], &["child"], &["rnu", "sh"], &["--help"]] {
        let output = host.command(step).args(args).output().unwrap();
        assert_one_line(&output, 2, &[&usage]);
    }
    // Nobody unshared for this one: as root it would rename the host, and more.
    let output = host.sh(&format!("{step} child true; echo $?; hostname")).output().unwrap();
    assert_one_line(&output, 0, &["`child` is for `run`"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "125\nhost\n");
    // The same as root without the capability, which is what an ordinary user is, too.
    let output = host.command("setpriv").args(["--bounding-set=-sys_admin", step, "run", "true"]).output().unwrap();
    assert_one_line(&output, 125, &[&format!("{step}: unshare(CLONE_NEWUTS"), "EPERM", "`cargo xtask run`"]);
}

/// Without a rootfs that is one, there is one line that says how to get it.
pub fn a_bad_rootfs_gets_one_line_and_a_cure(step: &str) {
    let folder = Folder::new(&format!("bad-rootfs-{step}"));
    let host = Host::new().in_directory(&folder.0);
    let rootfs = folder.0.join("rootfs");
    let cure = "`cargo xtask rootfs` makes one";
    assert_one_line(&run(&host, step, &["true"]), 125, &["chroot(\"./rootfs\"): ENOENT", cure]);
    fs::write(&rootfs, "a file").unwrap();
    assert_one_line(&run(&host, step, &["true"]), 125, &["chroot(\"./rootfs\"): ENOTDIR", cure]);
    fs::remove_file(&rootfs).unwrap();
    fs::create_dir(&rootfs).unwrap();
    // As a rootfs of root's is to an ordinary user: root itself without the capability to look into every folder.
    fs::set_permissions(&rootfs, fs::Permissions::from_mode(0o000)).unwrap();
    let powerless = ["--bounding-set=-dac_override,-dac_read_search", step, "run", "true"];
    let output = host.command("setpriv").args(powerless).output().unwrap();
    fs::set_permissions(&rootfs, fs::Permissions::from_mode(0o755)).unwrap();
    assert_one_line(&output, 125, &["chroot(\"./rootfs\"): EACCES", cure]);
    // Step 4 wants a /proc to mount on; step 3 gets to the command, which is not there.
    let output = run(&host, step, &["true"]);
    match stderr(&output).contains("mount(") {
        true => assert_one_line(&output, 125, &["mount(\"proc\", \"/proc\", \"proc\",", "ENOENT", cure]),
        false => assert_one_line(&output, 127, &["execve(\"true\"): ENOENT"]),
    }
}

/// Shell functions for scripts on the throwaway host. It has a /proc of its own, which lists all its processes.
const LOOK: &str = r#"
    # The PIDs of all processes whose command line is $1.
    pids() { for p in /proc/[0-9]*; do
        [ "$(tr '\0' ' ' 2>/dev/null <$p/cmdline)" = "$1 " ] && echo ${p#/proc/}
    done; }
    # Waits, bounded, until there is such a process, or none.
    until_some() { n=0; while [ -z "$(pids "$1")" ]; do n=$((n+1)); [ $n -gt 500 ] && echo "no $1" && exit 1; sleep 0.01; done; }
    until_none() { n=0; while [ -n "$(pids "$1")" ]; do n=$((n+1)); [ $n -gt 500 ] && echo "still $1" && exit 1; sleep 0.01; done; }
"#;

/// However `run` is killed, the command dies with it, and no mount stays.
pub fn a_killed_run_leaves_nothing_behind(step: &str) {
    let host = Host::new();
    for (signal, number) in [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("TERM", 15)] {
        // In the foreground, and with env: a shell's background jobs ignore INT and QUIT, and we may be one ourselves.
        let script = format!(
            r#"{LOOK}
            ulimit -c 0
            before=$(cat /proc/self/mountinfo)
            (until_some 'sleep 4242'; kill -{signal} $(pids '{step} run sleep 4242')
             (until_none 'sleep 4242') || kill -KILL $(pids 'sleep 4242')) &
            /usr/bin/env --default-signal {step} run sleep 4242 2>/dev/null
            echo status $?
            until_none 'sleep 4242'
            until_none '/proc/self/exe child sleep 4242'
            [ "$before" = "$(cat /proc/self/mountinfo)" ] && echo no mount left"#
        );
        let output = host.sh(&script).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("status {}\nno mount left\n", 128 + number), "{signal}: {}", stderr(&output));
    }
}

/// From step 2 on, what the command started dies, too, when `run` is killed.
pub fn a_killed_run_takes_the_whole_family_with_it(step: &str) {
    let script = format!(
        r#"{LOOK}
        {step} run sh -c 'sleep 4242; :' 2>/dev/null &
        until_some 'sleep 4242'; kill -KILL $!; until_none 'sleep 4242'; echo none left"#
    );
    let output = Host::new().sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "none left\n", "{}", stderr(&output));
}

/// A command that makes an orphan, `sleep 4242`, and stays as `sleep 4243`. Not `sleep 4242 &`, which a BusyBox shell does not
/// start without a /dev/null: a child kills its parent instead.
const MAKE_AN_ORPHAN: &str = r#"sh -c 'sh -c "$1"; exec sleep 4243' sh 'sh -c "kill -9 \$PPID; exec sleep 4242"; :'"#;

/// When the command ends, what it left running ends with it.
pub fn what_the_command_leaves_running_ends_with_it(step: &str) {
    let script = format!(
        r#"{LOOK}
        {step} run {MAKE_AN_ORPHAN} 2>/dev/null &
        until_some 'sleep 4242'; until_some 'sleep 4243'
        kill -KILL $(pids 'sleep 4243'); wait $!; echo status $?
        until_none 'sleep 4242'"#
    );
    let output = Host::new().sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status 137\n", "{}", stderr(&output));
}

/// Process 1 reaps the orphans of its namespace while the command runs.
pub fn orphans_are_reaped(step: &str) {
    // Signal 40 is a real-time one: nix has no name for it, and so no status for what it killed.
    for signal in ["KILL", "40"] {
        orphans_killed_by_this_are_reaped(step, signal);
    }
}

fn orphans_killed_by_this_are_reaped(step: &str, signal: &str) {
    let script = format!(
        r#"{LOOK}
        zombies() {{ grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; }}
        {step} run {MAKE_AN_ORPHAN} 2>/dev/null &
        until_some 'sleep 4242'; until_some 'sleep 4243'
        kill -{signal} $(pids 'sleep 4242'); until_none 'sleep 4242'
        # Whoever reaps may take a moment.
        n=0; while [ -n "$(zombies)" ] && [ $n -lt 200 ]; do n=$((n+1)); sleep 0.01; done
        for z in $(zombies); do grep -h -e Name -e State -e PPid $z; done
        until_some 'sleep 4243'; echo looked"#
    );
    let output = Host::new().sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "looked\n", "{}", stderr(&output));
}

/// From step 3 on, the host's environment stays outside; the terminal's name comes along.
pub fn the_environment_is_the_containers_own(step: &str) {
    let env = |step: &str| {
        let output = Host::new().sh(&format!("export SECRET=1 TERM=xterm; {step} run env")).output().unwrap();
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(env(step), ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]);
    // The control: step 2 passes everything on.
    assert!(env("step02-pid").contains(&"SECRET=1".to_owned()));
}

/// From step 4 on, where process 1 can be seen, nor does its environment hold anything of the host's.
pub fn the_environment_of_process_1_is_the_containers_own(step: &str) {
    let line = format!("export SECRET=1 TERM=xterm; {step} run sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | sort'");
    let output = Host::new().sh(&line).output().unwrap();
    let expected = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=xterm\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", stderr(&output));
}

/// For what a person would not do at the same instant: a key right after the program has started.
const A_MOMENT: Duration = Duration::from_millis(300);

fn interactive(step: &str) -> Terminal {
    let script = format!("{step} run sh; echo back: $?; read line; echo got $line");
    // A session of its own on the host, as a login has; its shell has no job control, and takes the terminal as it finds it.
    // --default-signal: whoever runs the tests in the background ignores INT, and so would all of this.
    let mut command = Host::new().command("setsid");
    Terminal::open(
        command.args(["--ctty", "--wait", "env", "--default-signal", "sh", "-c", &script]).env("TERM", "dumb"),
    )
    .unwrap()
}

/// An interactive shell has job control, and Ctrl-C and Ctrl-Z reach what runs in its foreground, and only that.
pub fn a_shell_has_job_control(step: &str) {
    let mut terminal = interactive(step);
    terminal.type_keys("PS1='ready> '; echo $((6 * 7))\n");
    terminal.wait_for("42\r\n");
    terminal.type_keys("sleep 4242\n");
    terminal.wait_for("sleep 4242");
    thread::sleep(A_MOMENT);
    terminal.type_keys("\x1a");
    terminal.wait_for("Stopped");
    terminal.type_keys("jobs; fg\n");
    terminal.wait_for("sleep 4242");
    thread::sleep(A_MOMENT);
    terminal.type_keys("\x03");
    terminal.type_keys("echo status $?\n");
    let shown = terminal.wait_for("status 130");
    assert!(!shown.contains("job control turned off"), "{shown}");
    // From step 2 on, a dash that can't give back the terminal says so, and makes its status 2.
    terminal.type_keys("exit 5\n");
    let shown = terminal.wait_for("back: ");
    terminal.wait_for(if shown.contains("Cannot set tty process group") { "2" } else { "5" });
    terminal.type_keys("the terminal works\n");
    terminal.wait_for("got the terminal works");
    assert!(terminal.wait().success());
}

/// What Ctrl-C means is for the command to say, though `run` is in the foreground, too.
pub fn the_command_may_handle_ctrl_c(step: &str) {
    let script = format!(
        r#"{step} run sh -c 'trap "echo cleaned up; exit 6" INT; echo rea""dy; while :; do sleep 0.1; done'; echo back: $?"#
    );
    let mut command = Host::new().command("setsid");
    // The outer shell would end at the same Ctrl-C, did it not handle it.
    let script = format!("trap : INT; {script}");
    command.args(["--ctty", "--wait", "env", "--default-signal", "sh", "-c", &script]);
    let mut terminal = Terminal::open(&mut command).unwrap();
    terminal.wait_for("ready");
    thread::sleep(A_MOMENT);
    terminal.type_keys("\x03");
    terminal.wait_for("cleaned up");
    terminal.wait_for("back: 6");
}

/// A shell learns the size of the window, and that it changed.
pub fn a_shell_follows_the_window(step: &str) {
    let mut terminal = interactive(step);
    terminal.type_keys("stty size\n");
    terminal.wait_for("24 80");
    // A script, for a BusyBox shell that waits for a line keeps this signal to itself.
    terminal.type_keys("sh -c 'trap \"echo re\"\"sized\" WINCH; echo re\"\"ady; while :; do sleep 0.1; done'\n");
    terminal.wait_for("ready");
    terminal.resize(132);
    terminal.wait_for("resized");
    terminal.type_keys("\x03");
    terminal.type_keys("stty size\n");
    terminal.wait_for("24 132");
    terminal.type_keys("exit\n");
    terminal.wait_for("back: ");
}
