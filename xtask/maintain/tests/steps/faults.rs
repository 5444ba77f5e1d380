//! What the steps do when a system call fails, with each errno that its man page documents.
//!
//! strace(1) makes a call fail: `--inject=chroot:error=EIO:when=1`. It does so in every process that it follows, so a row
//! limits it to the right one.

use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use lab::steps::{self, Step};
use lab::workspace;
use nix::errno::Errno::{self, *};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::host::Host;
use testkit::program::write_program;
use testkit::terminal::Terminal;

/// The command ends with a status that no failure has.
const COMMAND: &str = "/bin/sh -c 'exit 7'";

/// Process 1 makes its third wait4(2) when an orphan has died. No other process here makes three.
const AFTER_AN_ORPHAN: &str =
    r#"sh -c 'sh -c "$1" 2>&-; exec sleep 0.5; exit 7' sh 'sh -c "kill -9 \$PPID; exec sleep 0.1"; :' 2>&-"#;

/// One call, and what follows when it fails.
struct Row {
    /// As strace prints it, abridged.
    call: &'static str,
    /// The process that makes it.
    caller: &'static str,
    /// The number of the first step that makes it. All later steps make it, too.
    first_step: u32,
    /// strace's options; ERRNO is a placeholder for the errno.
    strace: &'static str,
    command: &'static str,
    errnos: &'static [Errno],
    status: i32,
    /// How the one line on stderr begins after the step's name. Empty if there is no line.
    line: &'static str,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { call: "unshare(…)", caller: "run", first_step: 1, strace: "-f -e inject=unshare:error=ERRNO", command: COMMAND,
        errnos: &[EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS], status: 125, line: "unshare(CLONE_NEWUTS" },
    // Without -f strace follows only `run`. glibc and musl choose among these calls.
    Row { call: "clone3(…)", caller: "run", first_step: 2, strace: "-e inject=clone3,/^v?fork$,clone:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EAGAIN, EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS], status: 125, line: "execve(\"/proc/self/exe\"): " },
    Row { call: "execve(\"/proc/self/exe\")", caller: "run", first_step: 2, strace: "-f -P /proc/self/exe -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[E2BIG, EACCES, EAGAIN, EFAULT, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOENT, ENOEXEC, ENOMEM, ENOTDIR, EPERM, ETXTBSY],
        status: 125, line: "execve(\"/proc/self/exe\"): " },
    // Not its first two: posix_spawn(3) blocks all signals and unblocks them.
    Row { call: "rt_sigprocmask(SIG_BLOCK, …)", caller: "run", first_step: 2, strace: "-e inject=rt_sigprocmask:error=ERRNO:when=3", command: COMMAND,
        errnos: &[EFAULT, EINVAL], status: 7, line: "" },
    Row { call: "wait4(…)", caller: "run", first_step: 2, strace: "-e inject=wait4:error=ERRNO:when=1", command: COMMAND,
        errnos: &[ECHILD, EINVAL, ESRCH], status: 125, line: "wait4: " },
    Row { call: "wait4(…)", caller: "run", first_step: 2, strace: "-e inject=wait4:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EINTR], status: 7, line: "" },

    Row { call: "prctl(PR_SET_PDEATHSIG, …)", caller: "child", first_step: 2, strace: "-f -e inject=prctl:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EINVAL, EPERM], status: 125, line: "prctl(PR_SET_PDEATHSIG, SIGKILL): " },
    Row { call: "open(\"/proc/self/status\")", caller: "child", first_step: 2, strace: "-f -P /proc/self/status -e inject=/^open:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM], status: 125, line: "open(\"/proc/self/status\"): " },
    Row { call: "readlink(\"/proc/PPID/exe\")", caller: "child", first_step: 2, strace: "-f -e inject=/^readlink:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, line: "readlink(\"/proc/" },
    Row { call: "readlink(\"/proc/self/exe\")", caller: "child", first_step: 2, strace: "-f -P /proc/self/exe -e inject=/^readlink:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, line: "readlink(\"/proc/self/exe\"): " },
    Row { call: "sethostname(…)", caller: "child", first_step: 1, strace: "-f -e inject=sethostname:error=ERRNO", command: COMMAND,
        errnos: &[EFAULT, EINVAL, ENAMETOOLONG, EPERM], status: 125, line: "sethostname(\"mini-docker\"): " },
    Row { call: "mount(NULL, \"/\", …)", caller: "child", first_step: 3, strace: "-f -e inject=mount:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EACCES, EBUSY, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM], status: 125, line: "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL): " },
    Row { call: "open(\"/proc/self/mountinfo\")", caller: "child", first_step: 4, strace: "-f -P /proc/self/mountinfo -e inject=/^open:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM], status: 7, line: "" },
    Row { call: "chroot(\"./rootfs\")", caller: "child", first_step: 3, strace: "-f -e inject=chroot:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM], status: 125, line: "chroot(\"./rootfs\"): " },
    Row { call: "chdir(\"/\")", caller: "child", first_step: 3, strace: "-f -e inject=chdir:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, line: "chdir(\"/\"): " },
    Row { call: "mount(\"proc\", \"/proc\", …)", caller: "child", first_step: 4, strace: "-f -e inject=mount:error=ERRNO:when=2", command: COMMAND,
        errnos: &[EACCES, EBUSY, EFAULT, EINVAL, ELOOP, EMFILE, ENAMETOOLONG, ENODEV, ENOENT, ENOMEM, ENOTBLK, ENOTDIR, ENXIO, EPERM, EROFS],
        status: 125, line: "mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): " },
    Row { call: "waitid(…)", caller: "child", first_step: 2, strace: "-f -e inject=waitid:error=ERRNO:when=1", command: COMMAND,
        errnos: &[ECHILD, EINTR, EINVAL], status: 7, line: "" },
    Row { call: "wait4(…)", caller: "child", first_step: 2, strace: "-f -e inject=wait4:error=ERRNO:when=3", command: AFTER_AN_ORPHAN,
        errnos: &[ECHILD, EINVAL, ESRCH], status: 125, line: "wait4: " },

    Row { call: "execve(COMMAND)", caller: "command", first_step: 1, strace: "-f -P /bin/sh -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[ENOENT], status: 127, line: "execve(\"/bin/sh\"): " },
    Row { call: "execve(COMMAND)", caller: "command", first_step: 1, strace: "-f -P /bin/sh -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[E2BIG, EACCES, EAGAIN, EFAULT, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOMEM, ENOTDIR, EPERM, ETXTBSY],
        status: 126, line: "execve(\"/bin/sh\"): " },
];

/// A shell function that runs a command, and reports its status and output, and what it left on the host.
const TRY: &str = r#"
    snapshot() { hostname; cat /proc/self/mountinfo; set -- /proc/[0-9]*; echo $#; }
    before=$(snapshot)
    try() {
        output=$(timeout 20 "$@" 2>&1 </dev/null); status=$?
        n=0; while [ "$(snapshot)" != "$before" ]; do
            n=$((n+1)); [ $n -gt 300 ] && status="$status, and it left: $(snapshot)" && break; sleep 0.01
        done
        echo "status $status"; echo "$output"; echo end
    }
"#;

/// Runs every row of one step on one host, and returns those with another outcome.
fn faults(step: &Step) -> Vec<String> {
    let rows = ROWS.iter().filter(|row| row.first_step <= step.number);
    let cases: Vec<(&Row, Errno)> = rows.flat_map(|row| row.errnos.iter().map(move |errno| (row, *errno))).collect();
    let mut script = TRY.to_owned();
    for (row, errno) in &cases {
        let strace = row.strace.replace("ERRNO", &(*errno as i32).to_string()).replace('$', "\\$");
        script.push_str(&format!("try strace -qq -o /dev/null {strace} {} run {}\n", step.name, row.command));
    }
    let output = Host::new().sh(&script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let records: Vec<&str> = text.split_terminator("end\n").collect();
    assert_eq!(records.len(), cases.len(), "{text}{}", String::from_utf8_lossy(&output.stderr));

    let mut faults = Vec::new();
    for ((row, errno), record) in cases.iter().zip(records) {
        let (status, stderr) = record.split_once('\n').unwrap_or((record, ""));
        let lines: Vec<&str> =
            stderr.lines().filter(|line| !line.is_empty() && !line.starts_with("strace: Req")).collect();
        let is_reported = match lines.as_slice() {
            [] => row.line.is_empty(),
            [line] => is_line(step, row, *errno, line),
            [line, other] => {
                // If `run` ends without waiting, `child` may notice that before it dies of it.
                let notices = ["`child` is started by `run`", "readlink(\"/proc/"];
                row.caller == "run" && is_line(step, row, *errno, line) && notices.iter().any(|it| other.contains(it))
            }
            _ => false,
        };
        if status != format!("status {}", row.status) || !is_reported {
            faults.push(format!("{}: {} in {}, {errno:?}: {status}, {lines:#?}", step.name, row.call, row.caller));
        }
    }
    faults
}

/// True if the line names the program, the call and the errno.
fn is_line(step: &Step, row: &Row, errno: Errno, line: &str) -> bool {
    let rest = line.strip_prefix(&step.name).and_then(|rest| rest.strip_prefix(": ")?.strip_prefix(row.line));
    // nix writes `EPERM: …`, std `… (os error 1)`.
    let number = format!("(os error {})", errno as i32);
    !row.line.is_empty() && rest.is_some_and(|rest| rest.contains(&format!("{errno:?}: ")) || rest.contains(&number))
}

/// These need strace(1), which a machine may lack. `.ci/run` installs it, and `cargo xtask ci` runs them.
mod with_strace {
    use super::*;

    #[test]
    #[ignore = "needs strace"]
    fn a_system_call_that_fails_is_named_in_one_line_and_leaves_nothing() {
        let all: Vec<String> = steps::all().unwrap().iter().flat_map(faults).collect();
        assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
    }

    /// nix can't decode a death by real-time signal, so process 1 then reaps any dead child. strace holds up that wait4(2),
    /// its second, until the command has ended. The shell's second wait4(2) is held up as well, but that is over by then.
    #[test]
    #[ignore = "needs strace"]
    fn an_orphan_killed_by_a_real_time_signal_does_not_cost_the_exit_status() {
        let orphan = r#"sh -c "kill -9 \$PPID; exec sleep 4242"; :"#;
        for step in steps::all().unwrap().iter().filter(|step| step.number > 1) {
            for (end, status) in [("exit 7", 7), ("kill -TERM $$", 143)] {
                let script = format!("sh -c \"$1\" 2>&-; sleep 0; sleep 0; kill -40 -1; sleep 0.3; {end}");
                let command = format!("sh -c '{script}' sh '{orphan}'");
                let strace = "strace -qq -o /dev/null -f -e inject=wait4:delay_enter=600000:when=2";
                let output = Host::new().sh(&format!("{strace} {} run {command}", step.name)).output().unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!((output.status.code(), stderr.as_ref()), (Some(status), ""), "{}: {end}", step.name);
            }
        }
    }
}

/// Returns the status and the output of `cargo xtask soak` for a step 4 that is this shell script.
fn soak(script: &str) -> (Option<i32>, String) {
    let directory = env::temp_dir().join(format!("mini-docker-soak-{}-{}", process::id(), script.len()));
    fs::create_dir_all(directory.join("tmp")).unwrap();
    let program = directory.join("step04-proc");
    write_program(&program, format!("#!/bin/sh\n{script}\n").as_bytes());
    let mut load = Host::new().as_user().command("env");
    load.arg(format!("TMPDIR={}/tmp", directory.display()))
        .arg(env!("CARGO_BIN_EXE_maintain"))
        .args(["soak-host", "user"]);
    let output = load.args(["4", "2", "0", "1"]).arg(&directory).output().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A machine on which something is wrong.
struct Place {
    /// For the book's table.
    what: &'static str,
    /// A script on a throwaway host, in a directory with a rootfs. `$xtask` is this tool, and /mnt an empty file system.
    script: &'static str,
    status: i32,
    /// A part of each line on stderr.
    lines: &'static [&'static str],
}

#[rustfmt::skip]
const PLACES: &[Place] = &[
    Place { what: "no environment at all, so no HOME and no PATH", script: "exec env -i \"$(command -v step04-proc)\" run sh -c 'exit 7'",
        status: 7, lines: &[] },
    Place { what: "no HOME, so the download is kept in target/", script: "env -u HOME -u XDG_CACHE_HOME \"$xtask\" rootfs --source alpine --mirror http://127.0.0.1:1/alpine --to /mnt/rootfs",
        status: 1, lines: &["rootfs: downloading http://127.0.0.1:1/alpine", "curl: (7)"] },
    Place { what: "no directory for temporary files", script: "export TMPDIR=/no/such; \"$xtask\" rootfs --source host --to /mnt/rootfs && cd /mnt && step04-proc run sh -c 'exit 7'",
        status: 7, lines: &["rootfs: made /mnt/rootfs from this machine's own programs"] },
    Place { what: "a read-only rootfs", script: "mount --bind \"$PWD\" \"$PWD\" && mount -o remount,bind,ro \"$PWD\" && cd \"$PWD\" && step04-proc run sh -c 'exit 7'",
        status: 7, lines: &[] },
    Place { what: "a read-only checkout", script: "mount -o remount,bind,ro /mnt && \"$xtask\" rootfs --source host --to /mnt/rootfs",
        status: 1, lines: &["opening /mnt/.rootfs.lock: Read-only file system"] },
    Place { what: "a full disk below the rootfs", script: "mount -t tmpfs -o size=4k none rootfs/tmp && step04-proc run sh -c 'echo x >/tmp/1; echo x >/tmp/2 || exit 7'",
        status: 7, lines: &["No space left on device"] },
    Place { what: "a rootfs on a noexec file system", script: "mount --bind rootfs rootfs && mount -o remount,bind,noexec rootfs && step04-proc run sh",
        status: 126, lines: &["step04-proc: execve(\"sh\"): EACCES"] },
    Place { what: "a path with blanks, and with bytes that aren't UTF-8", script: "d=\"/mnt/a b$(printf '\\351')\"; mkdir \"$d\" && cd \"$d\" && \"$xtask\" rootfs --source host --to rootfs && step04-proc run sh -c 'exit 7'",
        status: 7, lines: &["rootfs: made /mnt/a b"] },
    Place { what: "a working directory that was removed", script: "mkdir /mnt/gone && cd /mnt/gone && rmdir /mnt/gone && step04-proc run sh",
        status: 125, lines: &["chroot(\"./rootfs\"): ENOENT"] },
    Place { what: "`umask 077`", script: "umask 077; step04-proc run sh -c 'umask | grep -q 077 && exit 7'",
        status: 7, lines: &[] },
    Place { what: "no stdin, stdout or stderr", script: "step04-proc run sh -c 'exit 7' <&- >&- 2>&-",
        status: 7, lines: &[] },
    Place { what: "every signal blocked by the caller", script: "env --block-signal step04-proc run sh -c 'exit 7'",
        status: 7, lines: &[] },
    Place { what: "SIGCHLD ignored by the caller, so the kernel keeps no exit status; both `run` and `child` report it", script: "env --ignore-signal=CHLD step04-proc run sh -c 'exit 7'",
        status: 125, lines: &["step04-proc: wait4: No child processes", "step04-proc: wait4: No child processes"] },
    Place { what: "a limit of four file descriptors, of which one is free", script: "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; prlimit --nofile=4 step04-proc run sh -c 'exit 7'",
        status: 7, lines: &[] },
    Place { what: "no /proc", script: "mount -t tmpfs none /proc && step04-proc run sh",
        status: 125, lines: &["step04-proc: execve(\"/proc/self/exe\"): No such file or directory"] },
    Place { what: "a part of /proc masked, as in a container, in a user namespace", script: "mount --bind /dev/null /proc/version && unshare --user --map-root-user step04-proc run sh",
        status: 125, lines: &["step04-proc: mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): EPERM"] },
    Place { what: "a part of /proc masked, for `cargo xtask`", script: "mount --bind /dev/null /proc/version && \"$xtask\" host --die-with-parent --privilege user true",
        status: 1, lines: &["Something is mounted over parts of /proc"] },
    Place { what: "max_user_namespaces=0", script: "echo 0 >/proc/sys/user/max_user_namespaces && \"$xtask\" host --die-with-parent --privilege user true",
        status: 1, lines: &["unshare(CLONE_NEWUSER): ENOSPC: No space left on device. user.max_user_namespaces is 0"] },
    Place { what: "max_pid_namespaces=0", script: "echo 0 >/proc/sys/user/max_pid_namespaces && step04-proc run sh",
        status: 125, lines: &["step04-proc: unshare(CLONE_NEWUTS|CLONE_NEWPID|CLONE_NEWNS): ENOSPC"] },
];

#[test]
fn a_bad_machine_gets_the_command_or_the_cause() {
    let mut faults = Vec::new();
    for place in PLACES {
        let script =
            format!("mount -t tmpfs none /mnt; xtask='{}'\n({})\n", testkit::host::xtask().display(), place.script);
        let output = Host::new().as_user().sh(&script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = stderr.lines().collect();
        let is_reported =
            lines.len() == place.lines.len() && lines.iter().zip(place.lines).all(|(line, part)| line.contains(part));
        if output.status.code() != Some(place.status) || !is_reported {
            faults.push(format!("{}: {}, {stderr}", place.what, output.status));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// RLIMIT_NPROC, from which the real root is exempt.
#[test]
fn a_limit_on_processes_is_reported() {
    let (host, user) = if nix::unistd::geteuid().is_root() {
        // The directory of the programs may be closed to everyone but root.
        let user = "mount --bind \"$(dirname \"$(command -v step04-proc)\")\" /mnt && PATH=/mnt:$PATH \
                    setpriv --reuid 65534 --regid 65534 --clear-groups prlimit --nproc=1 unshare --user --map-root-user";
        (Host::new().as_root(), user)
    } else {
        (Host::new().as_user(), "prlimit --nproc=1")
    };
    let output = host.sh(&format!("{user} step04-proc run sh")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    // EAGAIN
    assert!(
        stderr.starts_with("step04-proc: execve(\"/proc/self/exe\"): ") && stderr.ends_with("(os error 11)\n"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// Returns the processes, PID and command line, that have this word as an argument.
fn pids_with(word: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if let Ok(pid) = entry.file_name().to_string_lossy().parse()
            && line.split(' ').any(|it| it == word)
        {
            found.push((pid, line));
        }
    }
    found
}

/// Returns the rows as the book shows them.
fn calls() -> String {
    let mut table = "| call | caller | fails with | exit status |\n|---|---|---|---|\n".to_owned();
    for row in ROWS {
        let errnos: Vec<String> = row.errnos.iter().map(|errno| format!("{errno:?}")).collect();
        let status = match row.status {
            7 => "the command's, and no line".into(),
            status => status.to_string(),
        };
        let caller = if row.caller == "command" { "the new process".into() } else { format!("`{}`", row.caller) };
        table += &format!("| `{}` | {caller} | {} | {status} |\n", row.call, errnos.join(", "));
    }
    table
}

/// Returns the places as the book shows them.
fn places() -> String {
    let mut table = "| what is wrong | exit status | on stderr |\n|---|---|---|\n".to_owned();
    for place in PLACES {
        let status = if place.status == 7 { "the command's".into() } else { place.status.to_string() };
        let lines: Vec<String> = place.lines.iter().map(|it| format!("`{}`", it.replace('|', "\\|"))).collect();
        let lines = if lines.is_empty() { "nothing".into() } else { lines.join("<br>") };
        table += &format!("| {} | {status} | {lines} |\n", place.what);
    }
    table
}

#[test]
fn the_book_has_these_tables() {
    let page = fs::read_to_string(workspace::root().join("book/text/proven.md")).unwrap_or_default();
    for table in [calls(), places()] {
        assert!(page.contains(&table), "book/text/proven.md should have:\n{table}");
    }
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: waits for what leaks"]
    fn a_soak_names_what_leaks() {
        let good = r#"shift; exec "$@""#;
        let (status, text) = soak(good);
        assert!(status == Some(0) && !text.contains("LEAK") && !text.contains("FAULT"), "{text}");

        let (status, text) = soak("exit 7");
        assert!(status == Some(1) && text.contains("run 0: exit status: 7, not 0"), "{text}");

        // Each of its eight runs leaves a process, with namespaces, and a file.
        let leak = format!("unshare --pid --mount-proc --fork sleep 1000 & mktemp >/dev/null; {good}");
        let (status, text) = soak(&leak);
        assert_eq!(status, Some(1), "{text}");
        let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
        for name in [
            "processes",
            "namespaces in /proc",
            "temporary files",
            "PID namespaces",
            "mount namespaces",
            "user namespaces",
        ] {
            assert!(row(name).contains("LEAK"), "{name}: {text}");
        }
        assert!(!row("mounts").contains("LEAK") && !row("zombies").contains("LEAK"), "{text}");
    }

    #[test]
    #[ignore = "slow: waits for what leaks"]
    fn the_terminal_stays_usable_when_a_process_is_killed() {
        let mut command = Host::new().command("setsid");
        command.args(["--ctty", "--wait", "env", "--default-signal", "bash", "--norc", "-i"]).env("TERM", "dumb");
        let mut terminal = Terminal::open(&mut command).unwrap();
        terminal.answer("PS1='ready> '; before=$(stty -g); echo $((6 * 7))\n", "42\r\n");
        for step in steps::all().unwrap() {
            // In step 1, `run` becomes the command. An interactive shell ignores TERM, and process 1 all but KILL.
            let targets = [
                ("command", "sh -s", &[Signal::SIGKILL, Signal::SIGHUP][..]),
                ("run", step.name.as_str(), &[Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP]),
                ("child", "/proc/self/exe child", &[Signal::SIGKILL]),
            ];
            for (target, begins, signals) in &targets[..if step.number == 1 { 1 } else { 3 }] {
                for &signal in *signals {
                    let word = format!("mark-{}-{}-{target}-{signal}", process::id(), step.number);
                    terminal.type_keys(&format!("{} run sh -s {word}\n", step.name));
                    let start = Instant::now();
                    let all = loop {
                        let all = pids_with(&word);
                        if all.iter().any(|(_, line)| line.starts_with("sh -s")) {
                            break all;
                        }
                        assert!(start.elapsed() < Duration::from_secs(20), "{word} does not start: {all:?}");
                    };
                    thread::sleep(Duration::from_millis(100));
                    let (pid, _) = all.iter().find(|(_, line)| line.starts_with(*begins)).unwrap();
                    kill(Pid::from_raw(*pid), signal).unwrap();
                    let start = Instant::now();
                    while !pids_with(&word).is_empty() {
                        assert!(start.elapsed() < Duration::from_secs(20), "{word} stays: {:?}", pids_with(&word));
                        thread::sleep(Duration::from_millis(5));
                    }
                    terminal.answer("echo status=$?\n", &format!("status={}", 128 + signal as i32));
                    if *target == "run" {
                        // The caller's shell finds its job killed, and restores the terminal's settings.
                        terminal.answer("[ \"$(stty -g)\" = \"$before\" ] && echo same$((0))\n", "same0");
                    }
                    // Otherwise it gets an exit status, and a shell that was killed at its prompt has left the terminal raw.
                    terminal.type_keys("stty \"$before\"\n");
                    terminal.type_keys("read line; echo \"got <$line>\"\n");
                    terminal.answer("the terminal works\n", "got <the terminal works>");
                }
            }
        }
    }
}
