//! One run of the program, supervised.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::stat::fstat;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::capture::{Capture, MOST_OUTPUT};
use super::input::Input;
use super::setgroups::SetgroupsWatch;
use super::*;
use crate::check::evidence::Evidence;
use crate::check::observation::{Early, Observation};
use crate::check::snapshot::Snapshot;
use crate::check::verdict::{Checked, fail};

/// The time between two observations of a program.
const TICK: Duration = Duration::from_millis(1);
/// How long a container may take to come to rest before it is observed.
const UNREST: Duration = Duration::from_millis(500);
/// A PID namespace outlives its last process by 30 to 80 ms, and by more on a busy machine.
const CLEAN_UP: Duration = Duration::from_millis(1500);
/// How long a process that isn't being killed may outlive the program, because it may be about to exit.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// A wrapper that stops itself, and becomes the program when it is continued.
const STOPPED: [&str; 4] = ["sh", "-c", r#"kill -STOP $$; exec "$@""#, "sh"];

/// How to start the program, in addition to `PROGRAM run COMMAND [ARG...]`.
#[derive(Debug, Default)]
pub struct Invocation<'a> {
    /// Between `run` and the command: `["--hostname", "other"]`.
    pub flags: &'a [&'a str],
    pub variables: &'a [(&'a str, &'a str)],
    /// The hostname that the flags ask for.
    pub hostname: Option<&'a str>,
    /// The exit status that the probe is told; `None` draws one.
    pub told: Option<u8>,
    /// A program that starts it, such as `["unshare", "--user"]`.
    pub wrapper: &'a [&'a str],
    /// Joins stdout and stderr, as on a terminal, so that the order of their lines shows.
    pub merged: bool,
    /// Notes whether the program writes to its own /proc/self/setgroups.
    pub watch_setgroups: bool,
    pub program: Option<&'a str>,
    /// Names the probe's shell by its path.
    pub by_path: bool,
    /// Starts the program stopped, so that it can be let go slowly: [`Run::slow_down`].
    pub slowly: bool,
    /// An ordinary user's UID and GID, which a user namespace around the program has instead of root's.
    pub user: Option<(u32, u32)>,
    /// Lets the program use all CPUs, leaving none to the sandbox alone.
    pub all_cpus: bool,
}

impl Sandbox {
    pub fn start(&self, invocation: &Invocation<'_>, command: &[&str]) -> Checked<Run<'_>> {
        let mut words: Vec<&OsStr> = invocation.wrapper.iter().map(OsStr::new).collect();
        let starts_stopped = invocation.watch_setgroups || invocation.slowly || invocation.user.is_some();
        if invocation.slowly {
            words.extend(["nice", "-n", "19"].map(OsStr::new));
        }
        if starts_stopped {
            words.extend(STOPPED.map(OsStr::new));
        }
        match invocation.program {
            None => words.extend(self.program.iter().map(OsString::as_os_str)),
            Some(program) => words.push(OsStr::new(program)),
        }
        let rest = ["run"].iter().chain(invocation.flags).chain(command);
        words.extend(rest.map(OsStr::new));
        let before = self.snapshot()?;
        // The limit is for each run, because a program may be slow to start.
        self.time.set(Duration::ZERO);
        self.runs.set(self.runs.get() + 1);
        let (input, stdin) = Input::draw(&self.draw)?;
        let (stdout, out) = io::pipe()?;
        let (stderr, err) = match invocation.merged {
            true => (None, out.try_clone()?),
            false => io::pipe().map(|(reader, writer)| (Some(reader), writer))?,
        };
        let given = [stdin.as_fd(), out.as_fd(), err.as_fd()].map(|fd| fstat(fd).map(FileId::from));
        let given = given.into_iter().collect::<Result<_, _>>().context("fstat")?;
        let variables = self.draw.variables();
        let start = || {
            Command::new(words[0])
                .args(&words[1..])
                .current_dir(&self.directory)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .envs(invocation.variables.iter().copied())
                .stdin(Stdio::from(stdin))
                .stdout(out)
                .stderr(err)
                .process_group(0)
                .spawn()
        };
        let others = self.host.pids()?;
        let start = || if invocation.all_cpus { Ok(start()) } else { on_all_but_one_cpu(start) };
        let started = self.cgroups.at_start(start)??;
        let child =
            started.map_err(|error| fail!(NotAProgram, "an executable program", "{}: {error}", words[0].display()))?;
        let mut run = Run {
            sandbox: self,
            child,
            input,
            given,
            variables,
            before,
            others,
            observation: None,
            out: Capture::new(stdout)?,
            err: stderr.map(Capture::new).transpose()?,
            status: None,
            remains: None,
            setgroups: None,
            started_in: None,
        };
        if starts_stopped {
            run.wait_until(TIME_LIMIT, |run| Ok(run.is_in_state('T')))?;
        }
        if let Some((uid, gid)) = invocation.user {
            // Written from outside and without "deny" in setgroups, so the program must write that itself.
            let pid = run.pid()?;
            for (map, id) in [("uid_map", uid), ("gid_map", gid)] {
                let path = format!("/proc/{pid}/{map}");
                fs::write(&path, format!("{id} 0 1")).with_context(|| format!("write({path:?})"))?;
            }
        }
        if invocation.watch_setgroups {
            let pid = run.pid()?;
            run.setgroups = Some(SetgroupsWatch::new(pid)?);
            run.started_in = Some(self.host.id(pid, "ns/user")?);
        }
        if starts_stopped && !invocation.slowly {
            let _ = kill(run.outer_pid(), Signal::SIGCONT);
        }
        Ok(run)
    }
}

/// A run of the program.
#[derive(Debug)]
pub struct Run<'a> {
    pub sandbox: &'a Sandbox,
    child: Child,
    input: Input,
    /// The files that it was given as stdin, stdout and stderr.
    pub given: Vec<FileId>,
    /// The variables that were drawn for it.
    pub variables: Vec<(String, String)>,
    /// The host before it started.
    pub before: Snapshot,
    /// The processes that were there before it started.
    others: Vec<Pid>,
    /// The container, once it was observed.
    observation: Option<Observation>,
    out: Capture,
    /// `None` if stdout and stderr are one.
    err: Option<Capture>,
    status: Option<ExitStatus>,
    /// What was left of the program when it had ended.
    pub remains: Option<Remains>,
    setgroups: Option<SetgroupsWatch>,
    /// The user namespace that the program started in, if its setgroups file is watched.
    pub started_in: Option<FileId>,
}

/// What the kernel still has of a program that has ended, until its exit status is read: its user namespace.
#[derive(Clone, Debug)]
pub struct Remains {
    pub in_hosts_user_namespace: bool,
    pub uid_map: String,
    pub gid_map: String,
    pub allows_setgroups: bool,
}

impl Run<'_> {
    /// Returns the program's PID on the host.
    pub fn pid(&self) -> Result<Pid> {
        // std has the PID in our own namespace, outside of the host's.
        let process = self.sandbox.machine.process(self.child.id());
        process.and_then(|it| it.numbers.get(1).copied()).context("the program has no PID on the host")
    }

    /// Returns the program's PID in our own PID namespace.
    pub fn outer_pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().cast_signed())
    }

    /// Returns the program's exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let id = Id::Pid(self.outer_pid());
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            // Any other result means that it has ended, because nix can't decode a death by real-time signal. Read the status
            // only then, because reading it removes the remains.
            if waitid(id, flags) != Ok(WaitStatus::StillAlive) {
                self.remains = self.read_remains();
                self.status = self.child.try_wait().ok().flatten();
            }
        }
        self.status
    }

    fn read_remains(&self) -> Option<Remains> {
        let (machine, pid) = (&self.sandbox.machine, self.child.id());
        let read = |name| Some(String::from_utf8_lossy(&machine.read(pid, name).ok()?).into_owned());
        Some(Remains {
            in_hosts_user_namespace: machine.id(pid, "ns/user").ok()? == self.sandbox.host.id(1, "ns/user").ok()?,
            uid_map: read("uid_map")?,
            gid_map: read("gid_map")?,
            allows_setgroups: read("setgroups")?.trim() == "allow",
        })
    }

    /// True if the program is in that state: `S` is asleep, `T` stopped.
    pub fn is_in_state(&self, state: char) -> bool {
        let status = self.sandbox.machine.status(self.child.id());
        status.is_ok_and(|it| it.field("State").is_some_and(|it| it.starts_with(state)))
    }

    /// True if the program wrote to its own /proc/self/setgroups; `None` if that wasn't watched.
    pub fn wrote_setgroups(&self) -> Option<bool> {
        self.setgroups.as_ref().map(SetgroupsWatch::was_written)
    }

    /// Waits until `observe` returns something. Returns `None` when the program and all its processes have ended, even if another
    /// run's are still there, or `patience` is over.
    pub fn poll<T>(
        &mut self,
        patience: Duration,
        mut observe: impl FnMut(&mut Self) -> Checked<Option<T>>,
    ) -> Checked<Option<T>> {
        let end = self.sandbox.time.get() + patience;
        let mut last = Instant::now();
        loop {
            thread::sleep(TICK);
            self.listen()?;
            self.sandbox.tick(&mut last);
            self.sandbox.watch_name();
            // First, because observing thousands of processes takes long.
            self.sandbox.enforce_limits()?;
            // Before the observation, so that it doesn't miss what happened just before the end.
            let ended = self.status().is_some() && self.sandbox.host.pids()?.iter().all(|it| self.others.contains(it));
            if let Some(observed) = observe(self)? {
                return Ok(Some(observed));
            }
            if ended || self.sandbox.time.get() > end {
                return Ok(None);
            }
        }
    }

    /// Waits until something holds, as [`Run::poll`] does. Returns true if it does.
    pub fn wait_until(
        &mut self,
        patience: Duration,
        mut holds: impl FnMut(&mut Self) -> Checked<bool>,
    ) -> Checked<bool> {
        Ok(self.poll(patience, |run| Ok(holds(run)?.then_some(())))?.is_some())
    }

    /// Observes the container of the command, so that the standing rules are applied when it has ended.
    pub fn observe(&mut self, command: &Process) -> Checked {
        let early = Early::of(self.sandbox, command);
        self.wait_for_rest()?;
        self.observation = Some(Observation::of(self.sandbox, command.clone(), early, &self.given)?);
        Ok(())
    }

    /// Waits until every process in the container waits, if that is soon. Process 1 closes what it doesn't need, and gives up what it
    /// may do, after it has started the command, and on a busy machine it hasn't run yet.
    pub fn wait_for_rest(&mut self) -> Checked {
        let is_at_rest = |run: &mut Run<'_>| Ok(run.sandbox.guests()?.iter().all(|it| !"RD".contains(it.state)));
        self.wait_until(UNREST, is_at_rest).map(drop)
    }

    /// Waits for the end of the program, and returns its exit status.
    pub fn wait(&mut self) -> Checked<ExitStatus> {
        // The sandbox's own time limit ends first, and fails.
        let status = self.poll(2 * TIME_LIMIT, |run| Ok(run.status()))?;
        self.listen()?;
        let status = status.or(self.status).context("the program has ended without a status")?;
        if let Some(observation) = self.observation.take() {
            let changes = self.changes()?;
            let evidence = Evidence {
                host: self.sandbox.baseline(),
                variables: self.variables.clone(),
                observation: Some(observation),
                status,
                changes,
                ..Default::default()
            };
            self.sandbox.note_standing(&evidence);
        }
        Ok(status)
    }

    /// Returns the processes that are still there after those that are ending have had time to end.
    pub fn left_behind(&mut self) -> Checked<Vec<Process>> {
        let start = self.sandbox.time.get();
        let left = self.poll(CLEAN_UP, |run| {
            let mut guests = run.sandbox.guests()?;
            if guests.is_empty() {
                return Ok(Some(guests));
            }
            // On a busy machine the end of one process takes a while to reach another, as a signal at its parent's death does.
            let is_settled = guests.iter().all(|it| it.state != 'R' && (!it.is_ending || it.state == 'Z'));
            let is_over = run.sandbox.time.get() > start + LAST_WORDS && is_settled;
            guests.retain(|it| !it.is_ending);
            Ok((is_over && !guests.is_empty()).then_some(guests))
        })?;
        // Read what the last of them has written.
        self.listen()?;
        Ok(left.map_or_else(|| self.sandbox.guests(), Ok)?)
    }

    /// Types a line to the program's stdin. Ignores the error if no process reads it.
    pub fn type_line(&mut self, line: &str) {
        self.input.write(format!("{line}\n").as_bytes());
    }

    pub fn end_input(&mut self) {
        self.input.end();
    }

    /// Returns what the program has written to stdout, or to both if they are one.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// Returns what the program has written to stderr, or to both if they are one.
    pub fn stderr(&self) -> String {
        self.err.as_ref().unwrap_or(&self.out).text()
    }

    pub fn listen(&mut self) -> Checked {
        let total = self.out.read()? + self.err.as_mut().map_or(Ok(0), Capture::read)?;
        if total > MOST_OUTPUT {
            self.sandbox.close();
            let expected = "only the command's own output";
            return Err(fail!(WritesWithoutEnd, expected, "more than {} MiB of output", MOST_OUTPUT >> 20));
        }
        Ok(())
    }
}

/// Starts a process that leaves one CPU to us, as do its children. Among hundreds of processes that are busy starting more, we
/// would run only once every few seconds.
fn on_all_but_one_cpu<T>(start: impl FnOnce() -> T) -> nix::Result<T> {
    let us = nix::unistd::Pid::from_raw(0);
    let ours = sched_getaffinity(us)?;
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu) == Ok(true)).collect();
    let mut theirs = ours;
    if cpus.len() > 1 {
        // Sandboxes that run at the same time leave different CPUs free.
        theirs.unset(cpus[std::process::id() as usize % cpus.len()])?;
    }
    sched_setaffinity(us, &theirs)?;
    let started = start();
    sched_setaffinity(us, &ours)?;
    Ok(started)
}
