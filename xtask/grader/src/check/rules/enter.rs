//! Exercise `enter`: a second command in a container that runs already.

use lab::namespaces;
use lab::procfs::FileId;

use super::limits::cgroup::{Cgroup, Controller};
use super::run::require_status;
use super::*;
use crate::check::sandbox::CGROUPS;

/// Starts `PROGRAM enter …` where the sandbox starts `PROGRAM run enter …`: leaves out the first word `run`.
const WITHOUT_RUN: [&str; 4] = [
    "sh",
    "-c",
    r#"found=; for word; do shift; if [ "$found$word" = run ]; then found=1; else set -- "$@" "$word"; fi; done; exec "$@""#,
    "sh",
];
/// A wrapper that makes the cgroup `$0`, moves itself in, and becomes the program.
const IN_A_CGROUP: &str = r#"mkdir "$0" && echo 0 >"$0/cgroup.procs" && exec "$@""#;
/// The second command, which waits for the status to end with.
const SCRIPT: &str = "read status; exit $status";

pub fn it_joins_all_namespaces(sandbox: &Sandbox) -> Checked {
    enter(sandbox, &[], &[], |first, second, _| {
        let id = |pid, kind: &str| sandbox.host.id(pid, &format!("ns/{kind}")).ok();
        let (there, here) = (first.pid(), second.pid);
        let differs = |kind: &&str| id(there, kind) != id(here, kind);
        let missing: Vec<_> = namespaces::KINDS.into_iter().filter(differs).collect();
        if missing == ["pid"] && id(here, "pid_for_children") == id(there, "pid") {
            let seen = format!("only a child of process {here} would be in the container's PID namespace");
            return Err(fail!(EnteredWithoutFork, "the command is a child, born after setns", "{seen}"));
        }
        let seen = format!("process {here} is not in these namespaces of process {there}: {}", missing.join(", "));
        require!(missing.is_empty(), NamespaceNotJoined, "all namespaces of the container", "{seen}");
        Ok(())
    })
}

pub fn its_root_is_the_containers(sandbox: &Sandbox) -> Checked {
    enter(sandbox, &[], &[], |first, second, given| {
        let pid = second.pid;
        let is_hosts = sandbox.host.id(pid, "root")? == sandbox.root;
        let whose = if is_hosts { "the host's" } else { "another directory" };
        let seen = format!("/proc/{pid}/root is {whose}, and not that of process {}", first.pid());
        let expected = "the container's `/`";
        require!(sandbox.host.id(pid, "root")? == first.root.0, RootNotEntered, expected, "{seen}");
        let second = Observation::of(sandbox, second.clone(), Early::default(), given)?;
        let seen = format!("/proc/{pid}/cwd leads to {}, outside of its `/`", second.cwd.1.display());
        require!(second.cwd_is_inside, ChrootWithoutChdir, "a directory in the container", "{seen}");
        let leak = second.tasks[0].escapes.first();
        let seen = leak.map(|it| format!("/proc/{pid}/{} leads to {}", it.link, it.to.display())).unwrap_or_default();
        require!(leak.is_none(), DescriptorsLeaked, "nothing open outside of its `/`", "{seen}");
        Ok(())
    })
}

pub fn its_environment_is_the_containers(sandbox: &Sandbox) -> Checked {
    let [name, value] = ["X", "of-the-host-"].map(|word| format!("{word}{}", sandbox.draw.number(1000, 999999)));
    enter(sandbox, &[], &[(&name, &value)], |first, second, _| {
        let read = |pid| Ok::<_, Error>(String::from_utf8_lossy(&sandbox.host.read(pid, "environ")?).into_owned());
        let (wanted, found) = (read(first.pid())?, read(second.pid)?);
        // Not TERM, which is about the terminal.
        let variables = |text: &str| -> Vec<String> {
            text.split('\0').filter(|it| !it.is_empty() && !it.starts_with("TERM=")).map(str::to_owned).collect()
        };
        let (wanted, found) = (variables(&wanted), variables(&found));
        let foreign = found.iter().filter(|it| !wanted.contains(it)).count();
        let seen = format!("/proc/{}/environ has {foreign} variables that process {} hasn't", second.pid, first.pid());
        require!(foreign == 0, EnvironmentLeaked, "the container's environment, perhaps with TERM", "{seen}");
        let is_path = |it: &&String| it.starts_with("PATH=");
        let seen = format!("/proc/{}/environ has no PATH, and the container has one", second.pid);
        require!(found.iter().find(is_path) == wanted.iter().find(is_path), NoPath, "the container's PATH", "{seen}");
        Ok(())
    })
}

/// Where a program may not move into another cgroup, this holds.
pub fn it_joins_the_cgroup_if_it_may(sandbox: &Sandbox) -> Checked {
    let top = match Cgroup::make(sandbox, Controller::Pids) {
        Err(Error::Verdict(Verdict::CannotRun { .. })) => return Ok(()),
        result => result?,
    };
    let tree = if top.tree.is_unified() { CGROUPS.to_owned() } else { format!("{CGROUPS}/pids") };
    let directory = format!("{tree}/box-{}", sandbox.draw.number(1000, 999999));
    let wrapper = ["sh", "-c", IN_A_CGROUP, &directory];
    enter(sandbox, &wrapper, &[], |first, second, _| {
        let path = |pid| -> Checked<String> {
            let table = sandbox.host.read(pid, "cgroup")?;
            Ok(top.tree.path_in(&String::from_utf8_lossy(&table)).unwrap_or_default().to_owned())
        };
        let (there, here) = (path(first.pid())?, path(second.pid)?);
        let seen = format!("process {} is in the cgroup {here}, and process {} in {there}", second.pid, first.pid());
        require!(here == there, CgroupNotJoined, "the container's cgroup", "{seen}");
        Ok(())
    })
}

pub fn its_status_is_passed_on(sandbox: &Sandbox) -> Checked {
    enter(sandbox, &[], &[], |_, _, _| Ok(()))
}

/// Enters a container that runs, which `wrapper` starts, observes its command and the second one while both wait, and requires the second one's status.
fn enter(
    sandbox: &Sandbox,
    wrapper: &[&str],
    variables: &[(&str, &str)],
    also: impl FnOnce(&Observation, &Process, &[FileId]) -> Checked,
) -> Checked {
    let (evidence, ()) = observe_more(sandbox, &Invocation { wrapper, ..Default::default() }, |first| {
        let (word, told) = (sandbox.draw.number(1000, 999999).to_string(), sandbox.draw.status());
        let line = ["sh", "-c", SCRIPT, &word];
        let flags = ["enter", &first.pid().to_string()];
        let invocation = Invocation { wrapper: &WITHOUT_RUN, flags: &flags, variables, ..Default::default() };
        let mut run = sandbox.start(&invocation, &line)?;
        let second = wait_for(sandbox, &mut run, &line).map_err(|error| match run.status() {
            Some(status) if status.code() == Some(2) => {
                let seen = format!("`enter PID COMMAND` ended with status 2: {}", shorten(&run.stderr()));
                fail!(EnterUnknown, "the second command", "{seen}")
            }
            _ => error,
        })?;
        also(first, &second, &run.given)?;
        run.type_line(&told.to_string());
        run.end_input();
        let status = run.poll(PATIENCE, |run| Ok(run.status()))?.context("the second command goes on")?;
        require_status(status, told, "in the container, ", &run.stderr())
    })?;
    evidence.command().map(drop)
}
