//! Exercise `enter`: a second command in a running container.

use lab::namespaces;
use lab::procfs::FileId;

use super::run::require_status;
use super::*;
use crate::check::sandbox::cgroups::Controller;

/// A wrapper that drops the first word `run`, so that `PROGRAM run enter …` becomes `PROGRAM enter …`.
const WITHOUT_RUN: [&str; 4] = [
    "sh",
    "-c",
    r#"found=; for word; do shift; if [ "$found$word" = run ]; then found=1; else set -- "$@" "$word"; fi; done; exec "$@""#,
    "sh",
];
/// A wrapper that creates the cgroup `$0`, moves into it, and becomes the program.
const IN_A_CGROUP: &str = r#"mkdir "$0" && echo 0 >"$0/cgroup.procs" && exec "$@""#;
/// The second command, which reads the status to exit with.
const SCRIPT: &str = "read status; exit $status";

pub fn it_joins_all_namespaces(sandbox: &Sandbox) -> Checked {
    enter(sandbox, &[], &[], |first, second, _| {
        let id = |pid, kind: &str| sandbox.host.id(pid, &format!("ns/{kind}")).ok();
        let (there, here) = (first.pid(), second.pid);
        let differs = |kind: &&str| id(there, kind) != id(here, kind);
        let missing: Vec<_> = namespaces::KINDS.into_iter().filter(differs).collect();
        if missing == ["pid"] && id(here, "pid_for_children") == id(there, "pid") {
            let seen =
                format!("process {here} is outside the container's PID namespace; only its children would be inside");
            return Err(fail!(EnteredWithoutFork, "the command in a child created after setns", "{seen}"));
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
        let whose = if is_hosts { "the host's `/`" } else { "another directory" };
        let seen = format!("/proc/{pid}/root is {whose}, not the root of process {}", first.pid());
        let expected = "the container's `/`";
        require!(sandbox.host.id(pid, "root")? == first.root.0, RootNotEntered, expected, "{seen}");
        let second = Observation::of(sandbox, second.clone(), Early::default(), given)?;
        let seen = format!("/proc/{pid}/cwd is {}, outside the command's `/`", second.cwd.1.display());
        require!(second.cwd_is_inside, ChrootWithoutChdir, "a directory in the container", "{seen}");
        let leak = second.tasks[0].escapes.first();
        let seen = leak.map(|it| format!("/proc/{pid}/{} points to {}", it.link, it.to.display())).unwrap_or_default();
        require!(leak.is_none(), DescriptorsLeaked, "nothing open outside its `/`", "{seen}");
        Ok(())
    })
}

pub fn its_environment_is_the_containers(sandbox: &Sandbox) -> Checked {
    let [name, value] = ["X", "of-the-host-"].map(|word| format!("{word}{}", sandbox.draw.number(1000, 999999)));
    enter(sandbox, &[], &[(&name, &value)], |first, second, _| {
        let read = |pid| Ok::<_, Error>(String::from_utf8_lossy(&sandbox.host.read(pid, "environ")?).into_owned());
        let (wanted, found) = (read(first.pid())?, read(second.pid)?);
        // Except TERM, which describes the terminal.
        let variables = |text: &str| -> Vec<String> {
            text.split('\0').filter(|it| !it.is_empty() && !it.starts_with("TERM=")).map(str::to_owned).collect()
        };
        let (wanted, found) = (variables(&wanted), variables(&found));
        let foreign = found.iter().filter(|it| !wanted.contains(it)).count();
        let seen = format!(
            "/proc/{}/environ contains {foreign} variables that process {} doesn't have",
            second.pid,
            first.pid()
        );
        require!(foreign == 0, EnvironmentLeaked, "the container's environment, plus TERM at most", "{seen}");
        let is_path = |it: &&String| it.starts_with("PATH=");
        let seen = format!("/proc/{}/environ has no PATH, although the container's has one", second.pid);
        require!(found.iter().find(is_path) == wanted.iter().find(is_path), NoPath, "the container's PATH", "{seen}");
        Ok(())
    })
}

/// Passes where a program may not move into another cgroup.
pub fn it_joins_the_cgroup_if_it_may(sandbox: &Sandbox) -> Checked {
    let Ok(limits) = sandbox.cgroups.of(Controller::Pids) else { return Ok(()) };
    let directory = limits.point().join(sandbox.draw.word()).to_string_lossy().into_owned();
    let wrapper = ["sh", "-c", IN_A_CGROUP, &directory];
    enter(sandbox, &wrapper, &[], |first, second, _| {
        let path = |pid| -> Checked<String> {
            let table = sandbox.host.read(pid, "cgroup")?;
            Ok(limits.path_in(&String::from_utf8_lossy(&table)).to_owned())
        };
        let (there, here) = (path(first.pid())?, path(second.pid)?);
        let seen = format!("process {} is in cgroup {here}, but process {} is in {there}", second.pid, first.pid());
        require!(here == there, CgroupNotJoined, "the container's cgroup", "{seen}");
        Ok(())
    })
}

pub fn its_status_is_passed_on(sandbox: &Sandbox) -> Checked {
    enter(sandbox, &[], &[], |_, _, _| Ok(()))
}

/// Starts a container through `wrapper`, enters it, observes both commands while they wait, and requires the status of the
/// second command.
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
            // It rejected its command line, even if only in words.
            Some(status) if status.code() == Some(2) || Stderr::new(&run.stderr()).has("usage") => {
                let how = describe(status);
                let seen = format!("`enter PID COMMAND` ended with {how}: {}", shorten(&run.stderr()));
                fail!(EnterUnknown, "the second command running", "{seen}")
            }
            _ => error,
        })?;
        also(first, &second, &run.given)?;
        run.type_line(&told.to_string());
        run.end_input();
        let status = run.poll(PATIENCE, |run| Ok(run.status()))?.context("the second command did not end")?;
        require_status(status, told, "in the container, ", &run.stderr())
    })?;
    evidence.command().map(drop)
}
