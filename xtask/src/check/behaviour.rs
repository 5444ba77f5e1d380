//! What a look at one waiting command does not show: each check here runs the program in a way of its own, on a throwaway
//! host of its own.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::Context;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::Signal;

use super::diagnosis::Diagnosis;
use super::exam::{Exam, Run, Setting, Trouble};
use super::look::{self, Judged, Look, Sighting, how, look_with, shorten};
use super::proc::Process;
use super::said::Said;
use super::verdict::{Failure, Verdict, fail, require};
use crate::privilege;

pub mod escape;
pub mod files;
pub mod limits;
pub mod network;
pub mod rights;

/// What a check comes to. A [`Trouble`] of the program's is a failed check as well.
pub type Checked = Result<Verdict, Trouble>;

/// How long a process may take to appear, or to be gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a program may take to end that ends too early.
const A_MOMENT: Duration = Duration::from_millis(100);

fn words<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(|word| OsStr::new(*word)).collect()
}

/// Waits for a process with just these words.
fn wait_for(exam: &Exam, run: &mut Run<'_>, line: &[&str]) -> Result<Process, Trouble> {
    let found = run.watch(PATIENCE, |_| Ok(exam.guests()?.into_iter().find(|it| it.has_line(line))))?;
    found.ok_or_else(|| {
        let seen = format!("no process `{}`; on stderr: {}", line.join(" "), shorten(&run.stderr()));
        Trouble::Fault(fail(Diagnosis::NeverRan, seen, "the command, and what it starts"))
    })
}

/// Exercise `run`: on a terminal stdout and stderr are one, and their lines come in the order of writing.
pub fn output_keeps_its_order(exam: &Exam) -> Checked {
    let setting = Setting { merged: true, ..Setting::default() };
    // So many that who copies them by two threads is found out every time.
    const LINES: usize = 600;
    let script = format!("n=0; while [ $n -lt {LINES} ]; do echo $n; n=$((n+1)); echo $n >&2; n=$((n+1)); done");
    let mut run = exam.start(&setting, &words(&["sh", "-c", &script]))?;
    run.wait()?;
    // If it did not wait, which is another's to judge, there may be more to come.
    run.left_behind()?;
    let text = run.out.text();
    let lines: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    // What else it says is no fault.
    if (0..LINES).eq(lines.iter().copied()) {
        return Ok(Verdict::Pass);
    }
    let expected = format!("0 to {}, a number a line, the even ones to stdout and the odd ones to stderr", LINES - 1);
    let failure = match (0..LINES).find(|number| !lines.contains(number)) {
        Some(missing) => {
            fail(Diagnosis::OutputSwallowed, format!("{missing} is missing: {}", shorten(&text)), expected)
        }
        None => fail(Diagnosis::OutputReordered, shorten(&text), expected),
    };
    Ok(failure.into())
}

/// Exercise `status`: what a shell says of a command that a signal killed.
pub fn signals_are_reported(exam: &Exam) -> Checked {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut run = exam.start(&Setting::default(), &words(&["sleep", "4242"]))?;
        let command = wait_for(exam, &mut run, &["sleep", "4242"])?;
        if command.inner_pid() == 1 && signal != Signal::SIGKILL {
            // Process 1 takes no signal that it has no handler for.
            exam.signal(command.pid, Signal::SIGKILL)?;
            run.wait()?;
            continue;
        }
        exam.signal(command.pid, signal)?;
        let status = run.wait()?;
        let expected = 128 + signal as i32;
        // To let the same signal kill itself is as good: the shell that waits makes the same number of it.
        if status.code() != Some(expected) && status.signal() != Some(signal as i32) {
            let seen = format!("{signal} killed the command, and `run` ended with {}", how(status));
            return Ok(fail(Diagnosis::SignalLost, seen, format!("status {expected}")).into());
        }
    }
    Ok(Verdict::Pass)
}

/// Exercise `status`: what a shell says of a command that can't be started. It is the rootfs that knows whether there is one.
pub fn not_found_is_127(exam: &Exam) -> Checked {
    // Who asks the host finds the first, and not the second.
    let scratch = exam.scratch()?;
    let (outside, inside) = (scratch.path().join("only-outside"), exam.mark_rootfs()?);
    fs::write(&outside, "#!/bin/sh\nexit 3\n").context("writing on the throwaway host")?;
    fs::set_permissions(&outside, Permissions::from_mode(0o755)).context("chmod on the throwaway host")?;
    let outside = outside.display().to_string();
    let no_permission = format!("/{}", inside.name());
    let commands = [
        ("/no/such/program", 127, "which is nowhere"),
        ("no-such-program", 127, "which is nowhere"),
        (&outside, 127, "which is on the host, and not in ./rootfs"),
        ("/etc", 126, "which is a folder"),
        (&no_permission, 126, "which is in ./rootfs, without the permission to be executed"),
    ];
    for (program, expected, what) in commands {
        let mut run = exam.start(&Setting::default(), &words(&[program]))?;
        let status = run.wait()?;
        if status.code() != Some(expected) {
            let seen = format!("`run {program}`, {what}, ended with {}", how(status));
            return Ok(fail(Diagnosis::NotFoundStatus, seen, format!("status {expected}")).into());
        }
    }
    Ok(Verdict::Pass)
}

/// How many orphans end together.
const TOGETHER: usize = 5;
/// How often a command ends that nobody else waits for, or a thread that waits for all: who is first is for the scheduler to say.
/// With two CPUs such a thread is first nine times of ten.
const SHORT_RUNS: i32 = 3;

/// Exercise `reap`: an orphan that ends is reaped while the command runs, and that is not the end of the container.
pub fn orphans_are_reaped(exam: &Exam) -> Checked {
    // Not `sleep 4242 &`, which a BusyBox shell does not start without a /dev/null: a child kills its parent instead.
    let killed = r#"sh -c "kill -9 \$PPID; exec sleep 4242"; :"#;
    let ended = r#"sh -c "kill -9 \$PPID; sleep 4243; exit 5"; :"#;
    let several = r#"sh -c "kill -9 \$PPID; exec sleep 4244"; :"#;
    let script =
        r#"sh -c "$1"; sh -c "$2"; shift 2; for it; do sh -c "$it"; done; echo ready; read status; exit $status"#;
    let mut command = vec!["sh", "-c", script, "sh", killed, ended];
    command.extend([several; TOGETHER]);
    let cpus = all_cpus()?;
    let around: &[&str] = if privilege::on_path("taskset").is_some() { &["taskset", "-c", &cpus] } else { &[] };
    let setting = Setting { around, ..Setting::default() };
    let mut run = exam.start(&setting, &words(&command))?;
    let command = wait_for(exam, &mut run, &command)?;
    // One is an orphan itself, which a signal kills; of the other an orphan is the parent, a shell, which ends by itself then.
    let killed = wait_for(exam, &mut run, &["sleep", "4242"])?;
    let child = wait_for(exam, &mut run, &["sleep", "4243"])?;
    run.watch(PATIENCE, |run| Ok(run.out.text().contains("ready").then_some(())))?;
    let lives = |it: &Process| exam.host.process(it.pid).is_some_and(|it| it.state != 'Z');
    for (target, orphan) in [(killed.pid, killed.pid), (child.pid, child.parent)] {
        exam.signal(target, Signal::SIGKILL)?;
        let gone = run.watch(PATIENCE, |_| Ok(exam.host.process(orphan).is_none().then_some(())))?;
        if gone.is_none() {
            let parent = exam.host.process(orphan).map_or(0, |it| it.parent);
            let seen =
                format!("after {} s the orphan {orphan} is still a zombie, a child of {parent}", PATIENCE.as_secs());
            return Ok(fail(Diagnosis::ZombiesKept, seen, "reaped by process 1").into());
        }
        // Whoever takes it for the command needs a moment to end.
        let over = run.watch(A_MOMENT, |run| Ok((run.status().is_some() || !lives(&command)).then_some(())))?;
        if over.is_some() {
            let seen = format!("an orphan ended, and with it the command, process {}, which still waited", command.pid);
            return Ok(fail(Diagnosis::EndedWithOrphan, seen, "the command runs until it ends by itself").into());
        }
    }
    if let Some(failure) = they_end_together(exam, &mut run)? {
        return Ok(failure.into());
    }
    let told = 3 + (std::process::id() % 120).cast_signed();
    run.type_line(&told.to_string());
    run.end_input();
    if let Some(failure) = status_lost(&mut run, told, "after orphans, ")? {
        return Ok(failure.into());
    }
    for told in (0..SHORT_RUNS).map(|index| 3 + (told + index) % 120) {
        let mut run = exam.start(&setting, &words(&["sh", "-c", &format!("echo ready; read word; exit {told}")]))?;
        // Until then all who will wait do.
        run.watch(PATIENCE, |run| Ok(run.out.text().contains("ready").then_some(())))?;
        run.end_input();
        if let Some(failure) = status_lost(&mut run, told, "")? {
            return Ok(failure.into());
        }
    }
    Ok(Verdict::Pass)
}

/// Those that this process may use, as taskset(1) takes them: a program has one less, and on one alone two threads take turns.
fn all_cpus() -> nix::Result<String> {
    let ours = sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
    let cpus = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu) == Ok(true));
    Ok(cpus.map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(","))
}

/// Are all reaped that end while process 1 is stopped, for which it is told but once?
fn they_end_together(exam: &Exam, run: &mut Run<'_>) -> Result<Option<Failure>, Trouble> {
    let orphans = |exam: &Exam| -> Result<Vec<Process>, Trouble> {
        Ok(exam.guests()?.into_iter().filter(|it| it.has_line(&["sleep", "4244"])).collect())
    };
    // Those who made them are gone when all have the same parent, who takes in orphans.
    let found = run.watch(PATIENCE, |_| {
        let found = orphans(exam)?;
        let is_orphan = |it: &Process| it.parent > 1 && it.parent == found[0].parent;
        Ok((found.len() == TOGETHER && found.iter().all(is_orphan)).then_some(found))
    })?;
    let Some(found) = found else {
        let seen = format!("of {TOGETHER} orphans, {} are children of one process", orphans(exam)?.len());
        return Ok(Some(fail(Diagnosis::NeverRan, seen, "all of them, of process 1")));
    };
    let state = |pid| exam.host.process(pid).map(|it| it.state);
    exam.signal(found[0].parent, Signal::SIGSTOP)?;
    run.watch(PATIENCE, |_| Ok((state(found[0].parent) == Some('T')).then_some(())))?;
    for orphan in &found {
        exam.signal(orphan.pid, Signal::SIGKILL)?;
    }
    run.watch(PATIENCE, |_| Ok(found.iter().all(|it| matches!(state(it.pid), Some('Z') | None)).then_some(())))?;
    let mut left = Vec::new();
    let gone = run.watch(PATIENCE, |_| {
        // Also who has stopped itself because process 1 had.
        for stopped in exam.guests()?.iter().filter(|it| it.state == 'T') {
            exam.signal(stopped.pid, Signal::SIGCONT)?;
        }
        left = found.iter().map(|it| it.pid).filter(|pid| state(*pid).is_some()).collect::<Vec<_>>();
        Ok(left.is_empty().then_some(()))
    })?;
    Ok(gone.is_none().then(|| {
        let seen = format!(
            "{TOGETHER} orphans ended while process 1 was stopped; {} s after it went on, {} are still zombies",
            PATIENCE.as_secs(),
            left.len()
        );
        fail(Diagnosis::SignalsCounted, seen, "all reaped by process 1")
    }))
}

/// Waits for the end, which is to have that status.
fn status_lost(run: &mut Run<'_>, told: i32, when: &str) -> Result<Option<Failure>, Trouble> {
    let status = run.wait()?;
    Ok((status.code() != Some(told)).then(|| {
        let said = shorten(&run.stderr());
        let seen =
            format!("the command ended with status {told}, {when}and `run` with {}; on stderr: {said}", how(status));
        let is_gone = Said::new(&run.stderr()).names(Errno::ECHILD);
        let diagnosis = if is_gone { Diagnosis::CollectedAlready } else { Diagnosis::StatusLost };
        fail(diagnosis, seen, format!("status {told}"))
    }))
}

/// Exercise `die`: whoever kills `run` has ended the container.
pub fn a_killed_run_leaves_nothing(exam: &Exam) -> Checked {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut run = exam.start(&Setting::default(), &words(&["sh", "-c", "sleep 4242; :"]))?;
        wait_for(exam, &mut run, &["sleep", "4242"])?;
        let program = run.pid()?;
        exam.signal(program, signal)?;
        let left = run.left_behind()?;
        if left.iter().any(|it| it.pid == program) {
            let seen = format!("after {signal}, `run` itself, process {program}, is still there");
            return Ok(fail(Diagnosis::TermIgnored, seen, "it ends, and with it the container").into());
        }
        if let Some(orphan) = left.first() {
            let seen = format!("after {signal} to `run`, {} is still there: {}", orphan.pid, orphan.line());
            return Ok(fail(Diagnosis::OrphansLeft, seen, "no process").into());
        }
    }
    Ok(Verdict::Pass)
}

/// A variable that nobody can know by its name.
fn unknown_variable() -> String {
    format!("X{:X}", RandomState::new().hash_one(std::process::id()))
}

/// Exercise `clean`: nothing of the host's environment is in the command's.
pub fn the_environment_is_its_own(exam: &Exam) -> Checked {
    // And one that people try first.
    let secret = unknown_variable();
    let given = [("SECRET", "of-the-host"), (&secret, "of-the-host")];
    let setting = Setting { variables: &given, ..Setting::default() };
    let (look, environment) =
        look_with(exam, &setting, |it| Ok(exam.host.read(it.command.pid, "environ").context("reading environ")?))?;
    if let Err(verdict) = look.sighting() {
        return Ok(verdict);
    }
    let variables: Vec<_> = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let is = |it: &str, (name, value): (&str, &str)| it.split_once('=') == Some((name, value));
    if variables.iter().any(|it| given.iter().any(|given| is(it, *given))) {
        // To name them would be to ask for a list of names.
        let host: Vec<_> =
            exam.environment().filter(|(name, _)| !["PATH", "TERM"].contains(name)).chain(given).collect();
        let count = variables.iter().filter(|it| host.iter().any(|host| is(it, *host))).count();
        let seen = format!("in the command's environment: {count} variables of the host's");
        return Ok(fail(Diagnosis::EnvironmentLeaked, seen, "PATH, TERM, and what you choose").into());
    }
    let path = variables.iter().find_map(|it| it.strip_prefix("PATH=")).unwrap_or_default();
    if exam.environment().any(|host| host == ("PATH", path)) {
        let seen = "the command's PATH is the host's, word for word";
        return Ok(fail(Diagnosis::EnvironmentLeaked, seen, "a PATH with the rootfs's folders").into());
    }
    Ok(require(path.split(':').any(|folder| folder == "/bin"), || {
        fail(Diagnosis::NoPath, format!("PATH is {path:?}"), "a PATH with the rootfs's folders, /bin among them")
    }))
}

/// Goes on only if a judge is content.
fn must(judged: Judged) -> Result<(), Verdict> {
    match judged? {
        Verdict::Pass => Ok(()),
        other => Err(other),
    }
}

/// A verdict that was reached early, by `?`, is a verdict.
fn judge(judge: impl FnOnce() -> Judged) -> Checked {
    Ok(judge().unwrap_or_else(|verdict| verdict))
}

/// The command of a program that was started with a flag.
///
/// # Errors
/// The verdict that there was none: the flag was not understood, or something else failed.
fn flagged<'a>(look: &'a Look, flag: &str) -> Result<&'a Sighting, Verdict> {
    look.sighting().map_err(|verdict| {
        // The first program says no more of a command that it does not find, and here that is the flag.
        let said = Said::new(&look.stderr);
        let is_silent = said.names(Errno::ENOENT) || matches!(look.status.code(), Some(2 | 126 | 127));
        match verdict {
            Verdict::Fail(failure) if said.has(flag) || is_silent && said.meaning().is_none() => {
                Verdict::Fail(Failure { diagnosis: Diagnosis::FlagUnknown, ..failure })
            }
            other => other,
        }
    })
}

/// Exercise `reap`: does `run` end with the command, whatever orphans live on?
pub fn living_orphans_are_not_waited_for(exam: &Exam) -> Checked {
    let orphan = r#"sh -c "kill -9 \$PPID; exec sleep 4242"; :"#;
    let script = r#"sh -c "$1"; read word; exit 3"#;
    let mut run = exam.start(&Setting::default(), &words(&["sh", "-c", script, "sh", orphan]))?;
    wait_for(exam, &mut run, &["sleep", "4242"])?;
    run.end_input();
    let ended = run.watch(PATIENCE, |run| Ok(run.status()))?;
    if ended.is_some()
        && let Some(failure) = status_lost(&mut run, 3, "with an orphan alive, ")?
        && failure.diagnosis == Diagnosis::CollectedAlready
    {
        return Ok(failure.into());
    }
    Ok(require(ended.and_then(|it| it.code()) == Some(3), || {
        let seen = match ended {
            Some(status) => format!("the command ended with status 3, and `run` with {}", how(status)),
            None => format!("{} s after the command `run` still waits, with an orphan alive", PATIENCE.as_secs()),
        };
        fail(Diagnosis::WaitsForOrphans, seen, "status 3 at once: what is left ends with process 1")
    }))
}

/// Exercise `name`: is a flag behind the command the command's own?
pub fn flags_end_at_the_command(exam: &Exam) -> Checked {
    for flags in [&["--hostname", "other"][..], &[]] {
        let setting = Setting { flags, ..Setting::default() };
        let script = r#"printf '%s|' "$@"; hostname"#;
        let mut run = exam.start(&setting, &words(&["sh", "-c", script, "sh", "--hostname", "behind"]))?;
        run.wait()?;
        let expected = format!("--hostname|behind|{}", flags.last().unwrap_or(&"mini-docker"));
        let text = run.out.text();
        // What else it says is no fault.
        if !text.lines().any(|line| line == expected) {
            let seen = format!("the command has `--hostname behind` among its own words, and says {}", shorten(&text));
            return Ok(fail(Diagnosis::WordsLost, seen, format!("{expected:?}")).into());
        }
    }
    Ok(Verdict::Pass)
}

/// Exercise `name`: does the caller choose the hostname?
pub fn the_hostname_can_be_chosen(exam: &Exam) -> Checked {
    const FLAG: &str = "--hostname";
    let name = format!("box-{}", std::process::id());
    let setting = Setting { flags: &[FLAG, &name], ..Setting::default() };
    let (look, ()) = look_with(exam, &setting, |_| Ok(()))?;
    judge(|| {
        let sighting = flagged(&look, FLAG)?;
        must(look::the_host_keeps_its_name(&look))?;
        Ok(require(sighting.name == name, || {
            let seen = format!("with `{FLAG} {name}`, the hostname in it is {:?}", sighting.name);
            fail(Diagnosis::FlagIgnored, seen, format!("{name:?}"))
        }))
    })
}

/// Exercise `clean`: nothing of the host's environment is in that of process 1, which the command can read.
pub fn process_1_has_none_of_it_either(exam: &Exam) -> Checked {
    let secret = unknown_variable();
    let setting = Setting { variables: &[(&secret, "of-the-host")], ..Setting::default() };
    let (look, first) = look_with(exam, &setting, |it| {
        let namespace = exam.host.id(it.command.pid, "ns/pid")?;
        let is_first = |it: &Process| it.inner_pid() == 1 && exam.host.id(it.pid, "ns/pid") == Ok(namespace);
        let Some(first) = exam.guests()?.into_iter().find(is_first) else { return Ok(None) };
        let environment = exam.host.read(first.pid, "environ").context("reading environ")?;
        Ok(Some((first, environment)))
    })?;
    judge(|| {
        look.sighting()?;
        let leak = first.filter(|(_, environment)| String::from_utf8_lossy(environment).contains(&secret));
        Ok(require(leak.is_none(), || {
            let line = leak.map(|(first, _)| first.line()).unwrap_or_default();
            let seen = format!("/proc/1/environ in there, of `{line}`, has the host's variables in it");
            fail(Diagnosis::EnvironmentOfProcess1, seen, "PATH, TERM, and what you choose")
        }))
    })
}
