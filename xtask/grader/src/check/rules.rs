//! The rules, by the names that the exercises' `checks` give them: one module per exercise. A rule returns `Ok` if it holds.

use std::fs;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use exercises::Exercise;
use lab::mountinfo::Mount;
use lab::procfs::Process;
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::diagnosis::Diagnosis;
use super::evidence::{Evidence, describe, shorten};
use super::observation::{Early, Observation, ProcView};
use super::probe::{Probe, observe_as, observe_more};
use super::sandbox::{Invocation, Run, Sandbox};
use super::snapshot::Changes;
use super::stderr::Stderr;
use super::task::{EscapeKind, Task};
use super::verdict::{Checked, Error, Failure, Verdict, cannot_run, fail, failure, require};

mod caps;
mod chroot;
mod clean;
mod dev;
mod die;
mod enter;
mod escape;
mod ipc;
mod layers;
mod limits;
mod memory;
mod name;
mod overlay;
mod pid;
mod pivot;
mod proc;
mod publish;
mod reap;
mod rootless;
mod run;
mod status;
mod stop;
mod sys;
mod tty;
mod user;
mod uts;
mod veth;
mod view;
mod volume;

/// A rule that judges the evidence of one run.
pub type Shared = fn(&Evidence) -> Checked;

/// How to tell whether something holds.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// From the evidence of each run with a probe.
    Probe(Shared),
    /// From the container and the host in each run, whatever its command is.
    Container(Shared),
    /// From runs of its own, in a sandbox of its own.
    Own(fn(&Sandbox) -> Checked),
    /// Likewise, on a host of root's own if this process may have one.
    AsRoot(fn(&Sandbox) -> Checked),
}

macro_rules! rules {
    ($($kind:ident $module:ident: $($name:ident),+;)*) => {
        const RULES: &[(&str, Rule)] = &[$($((stringify!($name), Rule::$kind($module::$name)),)+)*];
    };
}

rules! {
    Probe run: the_command_runs, input_and_output_pass_through, stdout_and_stderr_are_two, run_waits, the_status_is_passed_on;
    Own run: a_command_is_not_given_to_a_shell, output_keeps_its_order;
    Container uts: it_has_a_uts_namespace, it_is_called_mini_docker, the_host_keeps_its_name;
    Container pid: it_has_a_pid_namespace, it_has_a_mount_namespace, nothing_is_left_running;
    Container chroot: its_root_is_the_rootfs, its_working_directory_is_inside, its_mounts_stay_inside, no_directory_of_the_hosts_is_mounted_in_it;
    Container proc: its_proc_is_its_own, its_proc_is_read_only, no_mount_is_left;
    Container pivot: nothing_is_above_its_root, the_old_root_is_gone, nothing_outside_is_open;
    Own status: it_starts_with_the_signals_of_run, signals_are_reported, a_stopped_command_has_not_ended, not_found_is_127;
    Own reap: orphans_are_reaped, living_orphans_are_not_waited_for;
    Own die: a_killed_run_leaves_nothing;
    Container clean: the_environment_is_its_own, no_other_process_has_the_hosts_environment;
    Own clean: its_descriptors_are_its_own;
    Own name: the_hostname_can_be_chosen, a_name_that_is_too_long_is_refused, flags_end_at_the_command;
    Own dev: dev_null_swallows;
    Container dev: nothing_stays_in_dev;
    Own volume: a_volume_is_there, a_volume_can_be_read_only;
    Own overlay: what_it_writes_is_gone;
    Own escape: the_attack_gets_out;
    AsRoot rootless: it_needs_no_rights;
    Own limits: its_processes_are_limited;
    Container veth: it_has_a_network_namespace;
    Own veth: it_has_a_loopback, it_reaches_the_host;
    Own stop: the_command_receives_term, an_end_by_term_is_143, then_everything_is_killed;
    Own tty: a_shell_has_the_terminal, the_terminal_comes_back, it_takes_no_terminal_from_others;
    Own caps: its_capabilities_are_few, it_keeps_what_root_needs, it_gains_no_privileges;
    Own enter: it_joins_all_namespaces, its_root_is_the_containers, its_environment_is_the_containers, it_joins_the_cgroup_if_it_may, its_status_is_passed_on;
    AsRoot user: it_is_that_user, it_is_in_no_other_group, the_group_may_be_left_out, a_killed_run_still_leaves_nothing;
    Container ipc: it_has_an_ipc_namespace;
    Own ipc: its_queues_are_in_dev_mqueue;
    Own memory: its_memory_is_limited, what_takes_more_is_killed;
    Own layers: its_root_is_the_image, what_a_layer_deletes_is_gone, nothing_of_the_image_stays;
    Own sys: its_sys_is_its_own, its_sys_is_read_only;
    Own publish: a_port_is_published, connections_are_complete, the_port_is_closed_afterwards, it_reaches_the_outside;
}

/// Returns the rule that an exercise names.
pub fn find(name: &str) -> Result<Rule> {
    let rule = RULES.iter().find(|(it, _)| *it == name);
    rule.map(|(_, rule)| *rule).with_context(|| format!("there is no rule `{name}`"))
}

/// Returns the rules of some exercises that have no runs of their own, in their order.
pub fn shared(exercises: &[&Exercise]) -> Result<Vec<Rule>> {
    let mut rules =
        exercises.iter().flat_map(|it| &it.checks).map(|check| find(&check.rule)).collect::<Result<Vec<_>>>()?;
    rules.retain(|rule| rule.shared().is_some());
    Ok(rules)
}

impl Rule {
    /// Returns the function that judges evidence; `None` if it has runs of its own.
    pub fn shared(self) -> Option<Shared> {
        match self {
            Rule::Probe(rule) | Rule::Container(rule) => Some(rule),
            Rule::Own(_) | Rule::AsRoot(_) => None,
        }
    }
}

/// Returns the verdict `cannot run here` if this machine lacks what each run of an exercise's solution needs. Then no rule can
/// judge a correct program here, not even a rule of an earlier exercise.
pub fn machine_has_what_it_needs(exercise: &str, sandbox: &Sandbox) -> Checked {
    match exercise {
        "sys" => view::can_be_mounted(sandbox, "sysfs"),
        "veth" | "publish" => veth::the_kernel_has_veth(),
        _ => Ok(()),
    }
}

/// How long something may take that a correct program does at once.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the command may take to appear: a program may be slow to start.
pub const START_PATIENCE: Duration = Duration::from_secs(8);
/// How long to wait for a program that ends too early.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Waits for a process with exactly these words.
fn wait_for(sandbox: &Sandbox, run: &mut Run<'_>, line: &[&str]) -> Checked<Process> {
    let found = run.poll(START_PATIENCE, |_| Ok(sandbox.guest_with(line)?))?;
    found.ok_or_else(|| {
        let seen = format!("there is no process `{}`; on stderr: {}", line.join(" "), shorten(&run.stderr()));
        let meaning = run.status().and_then(|_| Stderr::new(&run.stderr()).meaning());
        failure(meaning.unwrap_or(Diagnosis::NeverRan), seen, "the command and its processes running")
    })
}

/// Runs another container, perhaps next to a running one, and observes its command. Returns the reason if the command didn't
/// run.
fn in_another_container<T>(
    sandbox: &Sandbox,
    observe: impl FnOnce(&Process) -> Checked<T>,
) -> Checked<Result<T, String>> {
    let probe = Probe::draw(&sandbox.draw, 0);
    let words: Vec<&str> = probe.words.iter().map(String::as_str).collect();
    let mut run = sandbox.start(&Invocation::default(), &words)?;
    let command = run.poll(START_PATIENCE, |run| {
        // Once it has written, its root no longer changes.
        let is_ready = run.stdout().contains(&probe.ready);
        Ok(if is_ready { sandbox.guest_with(&words)? } else { None })
    })?;
    let observed = command.map(|it| observe(&it)).transpose()?;
    // Without a word, the probe waits before it ends.
    run.type_line(&format!("{} {}", probe.typed, probe.told));
    run.end_input();
    let status = run
        .poll(START_PATIENCE, |run| Ok(run.status()))?
        .map_or("did not end".into(), |it| format!("ended with {}", describe(it)));
    Ok(observed.ok_or_else(|| format!("its command never ran; `run` {status}; on stderr: {}", shorten(&run.stderr()))))
}

/// Kills `run` while the command waits, kills what is left, and returns what has changed on the host.
fn changes_of_a_killed_run(sandbox: &Sandbox) -> Checked<Changes> {
    let time = sandbox.draw.long_time();
    let words = ["sleep", &time];
    let mut run = sandbox.start(&Invocation::default(), &words)?;
    wait_for(sandbox, &mut run, &words)?;
    sandbox.signal(run.pid()?, Signal::SIGKILL)?;
    run.wait()?;
    for left in run.left_behind()? {
        sandbox.signal(left.pid, Signal::SIGKILL)?;
    }
    run.changes()
}

/// Waits for the command with exactly these words, and observes its container.
fn wait_for_command(sandbox: &Sandbox, run: &mut Run<'_>, words: &[&str]) -> Checked<Process> {
    let command = wait_for(sandbox, run, words)?;
    run.observe(&command)?;
    Ok(command)
}

/// Waits for a process with exactly these words, and names the flag if the program doesn't know it.
fn wait_for_with(sandbox: &Sandbox, run: &mut Run<'_>, flag: &str, line: &[&str]) -> Checked<Process> {
    wait_for(sandbox, run, line).map_err(|error| match run.status() {
        Some(status) if is_unknown(flag, status, &run.stderr()) => {
            let seen = format!("with `{flag}`, `run` ended with {}: {}", describe(status), shorten(&run.stderr()));
            fail!(FlagUnknown, "the command running", "{seen}")
        }
        _ => error,
    })
}

impl Evidence {
    /// Returns the command of a program that was started with a flag, or fails because the flag wasn't understood.
    fn command_with(&self, flag: &str) -> Checked<&Observation> {
        self.command().map_err(|error| match error {
            Error::Verdict(Verdict::Fail(failure)) if is_unknown(flag, self.status, &self.stderr) => {
                Error::Verdict(Verdict::Fail(Failure { diagnosis: Diagnosis::FlagUnknown, ..failure }))
            }
            other => other,
        })
    }
}

/// True if a program that didn't run the command seems not to know the flag: it mistakes the flag for the command, and reports
/// that it doesn't exist, or it rejects its command line.
fn is_unknown(flag: &str, status: ExitStatus, stderr: &str) -> bool {
    let words = Stderr::new(stderr);
    let is_silent = words.names(Errno::ENOENT) || matches!(status.code(), Some(2 | 126 | 127));
    words.has(flag) || is_silent && words.meaning().is_none()
}

#[cfg(test)]
mod tests;
