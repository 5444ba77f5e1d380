//! What the steps do when something fails under them: each system call with each errno that its man page documents.
//!
//! strace(1) makes a call fail: `--inject=chroot:error=EIO:when=1`. It makes it in every process that it follows, so a row
//! says by what the one meant is told apart.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use nix::errno::Errno::{self, *};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::host::Host;
use xtask::steps::{self, Step};
use xtask::terminal::Terminal;
use xtask::workspace;

/// The command ends with a status that no failure has.
const COMMAND: &str = "/bin/sh -c 'exit 7'";

/// Process 1 makes its third wait4(2) when an orphan has died, which no other process here does.
const AFTER_AN_ORPHAN: &str =
    r#"sh -c 'sh -c "$1" 2>&-; exec sleep 0.2; exit 7' sh 'sh -c "kill -9 \$PPID; exec sleep 0.1"; :' 2>&-"#;

/// One call, and what comes of its failing.
struct Row {
    /// As strace prints it, cut short.
    call: &'static str,
    /// Which process makes it.
    who: &'static str,
    /// The number of the first step that makes it, and of the last.
    steps: (u32, u32),
    /// strace's options; ERRNO stands for the errno.
    strace: &'static str,
    command: &'static str,
    errnos: &'static [Errno],
    status: i32,
    /// What the one line on stderr begins with, behind the step's name; nothing if nobody says anything.
    says: &'static str,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { call: "unshare(…)", who: "run", steps: (1, 4), strace: "-f -e inject=unshare:error=ERRNO", command: COMMAND,
        errnos: &[EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS], status: 125, says: "unshare(CLONE_NEWUTS" },
    // Without -f only `run` itself is followed. Which of these glibc or musl uses is theirs to say.
    Row { call: "clone3(…)", who: "run", steps: (1, 4), strace: "-e inject=clone3,/^v?fork$,clone:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EAGAIN, EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS], status: 125, says: "execve(\"/proc/self/exe\"): " },
    Row { call: "execve(\"/proc/self/exe\")", who: "run", steps: (1, 4), strace: "-f -P /proc/self/exe -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[E2BIG, EACCES, EAGAIN, EFAULT, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOENT, ENOEXEC, ENOMEM, ENOTDIR, EPERM, ETXTBSY],
        status: 125, says: "execve(\"/proc/self/exe\"): " },
    Row { call: "wait4(…)", who: "run", steps: (1, 4), strace: "-e inject=wait4:error=ERRNO:when=1", command: COMMAND,
        errnos: &[ECHILD, EINVAL, ESRCH], status: 125, says: "wait4: " },
    Row { call: "wait4(…)", who: "run", steps: (1, 4), strace: "-e inject=wait4:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EINTR], status: 7, says: "" },

    Row { call: "prctl(PR_SET_PDEATHSIG, …)", who: "child", steps: (1, 4), strace: "-f -e inject=prctl:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EINVAL, EPERM], status: 125, says: "prctl(PR_SET_PDEATHSIG, SIGKILL): " },
    Row { call: "open(\"/proc/self/status\")", who: "child", steps: (2, 4), strace: "-f -P /proc/self/status -e inject=/^open:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM], status: 125, says: "open(\"/proc/self/status\"): " },
    Row { call: "readlink(\"/proc/PPID/exe\")", who: "child", steps: (1, 4), strace: "-f -e inject=/^readlink:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, says: "readlink(\"/proc/PPID/exe\"): " },
    Row { call: "readlink(\"/proc/self/exe\")", who: "child", steps: (1, 4), strace: "-f -P /proc/self/exe -e inject=/^readlink:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, says: "readlink(\"/proc/self/exe\"): " },
    Row { call: "sethostname(…)", who: "child", steps: (1, 4), strace: "-f -e inject=sethostname:error=ERRNO", command: COMMAND,
        errnos: &[EFAULT, EINVAL, ENAMETOOLONG, EPERM], status: 125, says: "sethostname(\"mini-docker\"): " },
    Row { call: "mount(NULL, \"/\", …)", who: "child", steps: (3, 4), strace: "-f -e inject=mount:error=ERRNO:when=1", command: COMMAND,
        errnos: &[EACCES, EBUSY, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM], status: 125, says: "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL): " },
    Row { call: "statfs(\"/proc\")", who: "child", steps: (4, 4), strace: "-f -e inject=/^f?statfs:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EFAULT, EINTR, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOSYS, ENOTDIR, EOVERFLOW], status: 7, says: "" },
    Row { call: "chroot(\"./rootfs\")", who: "child", steps: (3, 4), strace: "-f -e inject=chroot:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM], status: 125, says: "chroot(\"./rootfs\"): " },
    Row { call: "chdir(\"/\")", who: "child", steps: (3, 4), strace: "-f -e inject=chdir:error=ERRNO", command: COMMAND,
        errnos: &[EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR], status: 125, says: "chdir(\"/\"): " },
    Row { call: "mount(\"proc\", \"/proc\", …)", who: "child", steps: (4, 4), strace: "-f -e inject=mount:error=ERRNO:when=2", command: COMMAND,
        errnos: &[EACCES, EBUSY, EFAULT, EINVAL, ELOOP, EMFILE, ENAMETOOLONG, ENODEV, ENOENT, ENOMEM, ENOTBLK, ENOTDIR, ENXIO, EPERM, EROFS],
        status: 125, says: "mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): " },
    Row { call: "waitid(…)", who: "child", steps: (2, 4), strace: "-f -e inject=waitid:error=ERRNO:when=1", command: COMMAND,
        errnos: &[ECHILD, EINTR, EINVAL], status: 7, says: "" },
    Row { call: "wait4(…)", who: "child", steps: (2, 4), strace: "-f -e inject=wait4:error=ERRNO:when=3", command: AFTER_AN_ORPHAN,
        errnos: &[ECHILD, EINVAL, ESRCH], status: 125, says: "wait4: " },

    Row { call: "execve(COMMAND)", who: "command", steps: (1, 4), strace: "-f -P /bin/sh -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[ENOENT], status: 127, says: "execve(\"/bin/sh\"): " },
    Row { call: "execve(COMMAND)", who: "command", steps: (1, 4), strace: "-f -P /bin/sh -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[E2BIG, EACCES, EFAULT, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, ENAMETOOLONG, ENOTDIR, EPERM, ETXTBSY], status: 126, says: "execve(\"/bin/sh\"): " },
    Row { call: "execve(COMMAND)", who: "command", steps: (1, 4), strace: "-f -P /bin/sh -e inject=execve:error=ERRNO", command: COMMAND,
        errnos: &[EAGAIN, EMFILE, ENFILE, ENOMEM], status: 125, says: "execve(\"/bin/sh\"): " },
];

/// What there is on the host besides this shell, and after each try the same again, bounded.
const TRY: &str = r#"
    look() { hostname; cat /proc/self/mountinfo; set -- /proc/[0-9]*; echo $#; }
    before=$(look)
    try() {
        said=$(timeout 20 "$@" 2>&1 </dev/null); status=$?
        n=0; while [ "$(look)" != "$before" ]; do
            n=$((n+1)); [ $n -gt 300 ] && status="$status, and it left: $(look)" && break; sleep 0.01
        done
        echo "status $status"; echo "$said"; echo end
    }
"#;

/// Runs every row of one step on one host. What went otherwise?
fn faults(step: &Step) -> Vec<String> {
    let is_of_step = |row: &&Row| (row.steps.0..=row.steps.1).contains(&step.number);
    let cases: Vec<(&Row, Errno)> =
        ROWS.iter().filter(is_of_step).flat_map(|row| row.errnos.iter().map(move |errno| (row, *errno))).collect();
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
        let (status, said) = record.split_once('\n').unwrap_or((record, ""));
        let said: Vec<&str> = said.lines().filter(|it| !it.is_empty() && !it.starts_with("strace: Req")).collect();
        let is_said = match said.as_slice() {
            [] => row.says.is_empty(),
            // Where it ends without waiting, its `child` may see that it is gone before that dies of it.
            [line] | [line, "", ..] => is_line(step, row, *errno, line),
            [line, other] => {
                // `child` notices that `run` is gone, before it dies of that: it is another's child by now, or nobody's.
                let notices = ["`child` is for `run` to start", "readlink(\"/proc/PPID/exe\"): "];
                row.who == "run" && is_line(step, row, *errno, line) && notices.iter().any(|it| other.contains(it))
            }
            _ => false,
        };
        if status != format!("status {}", row.status) || !is_said {
            faults.push(format!("{}: {} in {}, {errno:?}: {status}, {said:#?}", step.name, row.call, row.who));
        }
    }
    faults
}

/// Does it name the program, the call and the errno?
fn is_line(step: &Step, row: &Row, errno: Errno, line: &str) -> bool {
    let begins = line.strip_prefix(&step.name).and_then(|rest| rest.strip_prefix(": ")?.strip_prefix(row.says));
    // nix writes `EPERM: …`, std `… (os error 1)`.
    let number = format!("(os error {})", errno as i32);
    if row.call.contains("/proc/self/exe") && row.says.starts_with("readlink") && errno == ENOENT {
        // Which std words itself.
        return begins.is_some_and(|rest| rest.contains("Is /proc mounted?"));
    }
    !row.says.is_empty() && begins.is_some_and(|rest| rest.contains(&format!("{errno:?}: ")) || rest.contains(&number))
}

/// They need strace(1), which a machine need not have: `.ci/run` installs it, and `cargo xtask ci` runs them.
mod with_strace {
    use super::*;

    #[test]
    #[ignore = "needs strace"]
    fn a_system_call_that_fails_is_named_in_one_line_and_leaves_nothing() {
        let all: Vec<String> = steps::all().unwrap().iter().flat_map(faults).collect();
        assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
    }

    #[test]
    #[ignore = "needs strace"]
    fn one_that_asks_for_the_terminal_may_fail() {
        // TIOCGPGRP, before and after: without an answer it takes the terminal for none. What posix_spawn(3) blocks and
        // unblocks are the first two of the others; then comes the block of INT and QUIT, whose error nix 0.31 does not see:
        // pthread_sigmask(3) returns it, instead of -1.
        let inject = |call, errno: Errno, when| format!("inject={call}:error={}:when={when}", errno as i32);
        let mut injects = vec![inject("rt_sigprocmask", EINVAL, 3), inject("rt_sigprocmask", EFAULT, 3)];
        injects
            .extend([ENOTTY, EBADF, EIO, EINVAL].iter().flat_map(|it| [1, 2].map(|when| inject("ioctl", *it, when))));
        for step in steps::all().unwrap() {
            for inject in &injects {
                let run = format!("strace -qq -o /dev/null -e {inject} {} run sh -c 'exit 7'", step.name);
                let script = format!("{run}; echo back: $?; read line; echo got $line");
                let mut command = Host::new().command("setsid");
                command.args(["--ctty", "--wait", "env", "--default-signal", "sh", "-c", &script]);
                let mut terminal = Terminal::open(&mut command).unwrap();
                let shown = terminal.wait_for("back: 7");
                assert!(!shown.contains(&step.name), "{inject}: {shown}");
                terminal.type_keys("the terminal works\n");
                terminal.wait_for("got the terminal works");
            }
        }
    }
}

/// What `cargo xtask soak` says of a step 4 that is this shell script.
fn soak(script: &str) -> (Option<i32>, String) {
    let folder = env::temp_dir().join(format!("mini-docker-soak-{}-{}", process::id(), script.len()));
    fs::create_dir_all(folder.join("tmp")).unwrap();
    let program = folder.join("step04-proc");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut load = Host::new().as_user().command("env");
    load.arg(format!("TMPDIR={}/tmp", folder.display())).arg(env!("CARGO_BIN_EXE_xtask")).args(["--load", "user"]);
    let output = load.args(["4", "2", "0", "1"]).arg(&folder).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_soak_tells_what_leaks() {
    let good = r#"shift; exec "$@""#;
    let (status, said) = soak(good);
    assert!(status == Some(0) && !said.contains("LEAK") && !said.contains("FAULT"), "{said}");

    let (status, said) = soak("exit 7");
    assert!(status == Some(1) && said.contains("run 0: exit status: 7, not 0"), "{said}");

    // Each of its eight runs leaves a process, with namespaces, and a file.
    let leak = format!("unshare --pid --mount-proc --fork sleep 1000 & mktemp >/dev/null; {good}");
    let (status, said) = soak(&leak);
    assert_eq!(status, Some(1), "{said}");
    let row = |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
    for name in
        ["processes", "namespaces in /proc", "temporary files", "PID namespaces", "mount namespaces", "user namespaces"]
    {
        assert!(row(name).contains("LEAK"), "{name}: {said}");
    }
    assert!(!row("mounts").contains("LEAK") && !row("zombies").contains("LEAK"), "{said}");
}

/// A machine that is not as one would wish.
struct Place {
    /// For the book's table.
    what: &'static str,
    /// A script on a throwaway host, in a folder with a rootfs. `$xtask` is this tool, /mnt an empty file system of its own.
    script: &'static str,
    status: i32,
    /// A part of each line on stderr.
    says: &'static [&'static str],
}

#[rustfmt::skip]
const PLACES: &[Place] = &[
    Place { what: "no environment at all, so no HOME and no PATH", script: "exec env -i \"$(command -v step04-proc)\" run sh -c 'exit 7'",
        status: 7, says: &[] },
    Place { what: "no HOME to keep a download in: it is kept in target/", script: "env -u HOME -u XDG_CACHE_HOME \"$xtask\" rootfs --source alpine --mirror http://127.0.0.1:1/alpine --to /mnt/rootfs",
        status: 1, says: &["rootfs: downloading http://127.0.0.1:1/alpine", "curl: (7)"] },
    Place { what: "no folder for temporary files", script: "export TMPDIR=/no/such; \"$xtask\" rootfs --source host --to /mnt/rootfs && cd /mnt && step04-proc run sh -c 'exit 7'",
        status: 7, says: &["rootfs: made /mnt/rootfs from this machine's own programs"] },
    Place { what: "a read-only rootfs", script: "mount --bind \"$PWD\" \"$PWD\" && mount -o remount,bind,ro \"$PWD\" && cd \"$PWD\" && step04-proc run sh -c 'exit 7'",
        status: 7, says: &[] },
    Place { what: "a read-only checkout: no rootfs can be made there", script: "mount -o remount,bind,ro /mnt && \"$xtask\" rootfs --source host --to /mnt/rootfs",
        status: 1, says: &["opening /mnt/.rootfs.lock: Read-only file system"] },
    Place { what: "a full disk below the rootfs", script: "mount -t tmpfs -o size=4k none rootfs/tmp && step04-proc run sh -c 'echo x >/tmp/1; echo x >/tmp/2 || exit 7'",
        status: 7, says: &["No space left on device"] },
    Place { what: "a rootfs on a noexec file system", script: "mount --bind rootfs rootfs && mount -o remount,bind,noexec rootfs && step04-proc run sh",
        status: 126, says: &["step04-proc: execve(\"sh\"): EACCES"] },
    Place { what: "a path with blanks and bytes that are no UTF-8", script: "d=\"/mnt/a b$(printf '\\351')\"; mkdir \"$d\" && cd \"$d\" && \"$xtask\" rootfs --source host --to rootfs && step04-proc run sh -c 'exit 7'",
        status: 7, says: &["rootfs: made /mnt/a b"] },
    Place { what: "a working directory that was removed", script: "mkdir /mnt/gone && cd /mnt/gone && rmdir /mnt/gone && step04-proc run sh",
        status: 125, says: &["chroot(\"./rootfs\"): ENOENT"] },
    Place { what: "`umask 077`", script: "umask 077; step04-proc run sh -c 'umask | grep -q 077 && exit 7'",
        status: 7, says: &[] },
    Place { what: "no stdin, stdout or stderr", script: "step04-proc run sh -c 'exit 7' <&- >&- 2>&-",
        status: 7, says: &[] },
    Place { what: "every signal blocked by who started it", script: "env --block-signal step04-proc run sh -c 'exit 7'",
        status: 7, says: &[] },
    Place { what: "SIGCHLD ignored by who started it: the kernel keeps no exit status then, and both halves say so", script: "env --ignore-signal=CHLD step04-proc run sh -c 'exit 7'",
        status: 125, says: &["step04-proc: wait4: No child processes", "step04-proc: wait4: No child processes"] },
    Place { what: "four file descriptors, which leaves one", script: "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; prlimit --nofile=4 step04-proc run sh -c 'exit 7'",
        status: 7, says: &[] },
    Place { what: "no /proc", script: "mount -t tmpfs none /proc && step04-proc run sh",
        status: 125, says: &["step04-proc: execve(\"/proc/self/exe\"): No such file or directory"] },
    Place { what: "a part of /proc masked, as in a container, and a user namespace", script: "mount --bind /dev/null /proc/version && unshare --user --map-root-user step04-proc run sh",
        status: 125, says: &["step04-proc: mount(\"proc\", \"/proc\", \"proc\", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL): EPERM"] },
    Place { what: "the same, and cargo xtask", script: "mount --bind /dev/null /proc/version && \"$xtask\" host --die-with-parent --privilege user true",
        status: 1, says: &["Something is mounted over parts of /proc"] },
    Place { what: "max_user_namespaces=0", script: "echo 0 >/proc/sys/user/max_user_namespaces && \"$xtask\" host --die-with-parent --privilege user true",
        status: 1, says: &["unshare(CLONE_NEWUSER): ENOSPC: No space left on device. A limit on namespaces is reached"] },
    Place { what: "max_pid_namespaces=0", script: "echo 0 >/proc/sys/user/max_pid_namespaces && step04-proc run sh",
        status: 125, says: &["step04-proc: unshare(CLONE_NEWUTS|CLONE_NEWPID|CLONE_NEWNS): ENOSPC"] },
];

#[test]
fn on_a_bad_machine_it_works_or_says_why_and_leaves_nothing() {
    let mut faults = Vec::new();
    for place in PLACES {
        let script = format!("mount -t tmpfs none /mnt; xtask='{}'\n({})\n", env!("CARGO_BIN_EXE_xtask"), place.script);
        let output = Host::new().as_user().sh(&script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let is_said =
            lines.len() == place.says.len() && lines.iter().zip(place.says).all(|(line, part)| line.contains(part));
        if output.status.code() != Some(place.status) || !is_said {
            faults.push(format!("{}: {}, {said}", place.what, output.status));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Without a number left for a new process: RLIMIT_NPROC, which does not hold for the real root.
#[test]
fn without_a_free_pid_it_says_so() {
    let (host, user) = if nix::unistd::geteuid().is_root() {
        // The folder of the programs may be one that nobody else can get to.
        let user = "mount --bind \"$(dirname \"$(command -v step04-proc)\")\" /mnt && PATH=/mnt:$PATH \
                    setpriv --reuid 65534 --regid 65534 --clear-groups prlimit --nproc=1 unshare --user --map-root-user";
        (Host::new().as_root(), user)
    } else {
        (Host::new().as_user(), "prlimit --nproc=1")
    };
    let output = host.sh(&format!("{user} step04-proc run sh")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    // EAGAIN
    assert!(
        said.starts_with("step04-proc: execve(\"/proc/self/exe\"): ") && said.ends_with("(os error 11)\n"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The processes whose command line has this word in it, from outside all hosts.
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

#[test]
fn the_terminal_is_usable_whoever_is_killed() {
    let mut command = Host::new().command("setsid");
    command.args(["--ctty", "--wait", "env", "--default-signal", "bash", "--norc", "-i"]).env("TERM", "dumb");
    let mut terminal = Terminal::open(&mut command).unwrap();
    terminal.type_keys("PS1='ready> '; before=$(stty -g); echo $((6 * 7))\n");
    terminal.wait_for("42\r\n");
    for step in steps::all().unwrap() {
        for (half, begins) in [("run", step.name.as_str()), ("child", "/proc/self/exe child"), ("command", "sh -s")] {
            for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP] {
                let dies = half != "child" || signal == Signal::SIGKILL;
                // Its shell ignores TERM, as interactive shells do; step 1 has no process between `run` and the command.
                if !dies || half == "command" && signal == Signal::SIGTERM || half == "child" && step.number == 1 {
                    continue;
                }
                let word = format!("mark-{}-{}-{half}-{signal}", process::id(), step.number);
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
                let (pid, _) = all.iter().find(|(_, line)| line.starts_with(begins)).unwrap();
                kill(Pid::from_raw(*pid), signal).unwrap();
                let start = Instant::now();
                while !pids_with(&word).is_empty() {
                    assert!(start.elapsed() < Duration::from_secs(20), "{word} stays: {:?}", pids_with(&word));
                    thread::sleep(Duration::from_millis(5));
                }
                terminal.type_keys("echo status=$?\n");
                terminal.wait_for(&format!("status={}", 128 + signal as i32));
                if half == "run" {
                    // The caller's shell sees that it was killed, and gives the terminal its settings back.
                    terminal.type_keys("[ \"$(stty -g)\" = \"$before\" ] && echo same$((0))\n");
                    terminal.wait_for("same0");
                }
                // Otherwise it sees an exit status, and a shell that was killed at its prompt has left the terminal raw.
                terminal.type_keys("stty \"$before\"\n");
                terminal.type_keys("read line; echo \"got <$line>\"\n");
                terminal.type_keys("the terminal works\n");
                terminal.wait_for("got <the terminal works>");
            }
        }
    }
}

/// The rows as the book shows them. That the line begins with the call is not repeated there.
fn calls() -> String {
    let mut table = "| call | who makes it | fails with | exit status |\n|---|---|---|---|\n".to_owned();
    for row in ROWS {
        let errnos: Vec<String> = row.errnos.iter().map(|errno| format!("{errno:?}")).collect();
        let status = match row.status {
            7 => "the command's, and no line".into(),
            status => status.to_string(),
        };
        let who = if row.who == "command" { "the new process".into() } else { format!("`{}`", row.who) };
        table += &format!("| `{}` | {who} | {} | {status} |\n", row.call, errnos.join(", "));
    }
    table
}

/// The places as the book shows them.
fn places() -> String {
    let mut table = "| what is wrong | exit status | what is said |\n|---|---|---|\n".to_owned();
    for place in PLACES {
        let status = if place.status == 7 { "the command's".into() } else { place.status.to_string() };
        let says: Vec<String> = place.says.iter().map(|it| format!("`{}`", it.replace('|', "\\|"))).collect();
        let says = if says.is_empty() { "nothing".into() } else { says.join("<br>") };
        table += &format!("| {} | {status} | {says} |\n", place.what);
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
