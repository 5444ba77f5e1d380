//! Exercise `clean`: nothing of the host's environment and none of its open files.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::*;

/// The variables that may be the host's.
const ALLOWED: [&str; 2] = ["PATH", "TERM"];

/// Returns the environment of a process, and whether a variable in it is one that `run` was started with.
fn environment(evidence: &Evidence, process: &Process) -> Result<(Vec<(String, String)>, usize)> {
    let bytes = match &evidence.observation {
        Some(observation) => {
            observation.environments.iter().find(|(pid, _)| *pid == process.pid).map(|(_, bytes)| bytes)
        }
        None => None,
    };
    let text = String::from_utf8_lossy(bytes.map_or(&[], Vec::as_slice)).into_owned();
    let variables: Vec<(String, String)> =
        text.split('\0').filter_map(|it| it.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    let hosts: Vec<_> = evidence.host.environment.iter().filter(|(name, _)| !ALLOWED.contains(name)).collect();
    let is_hosts = |(name, value): &&(String, String)| {
        evidence.variables.iter().any(|(_, given)| given == value)
            || hosts.iter().any(|(its, given)| its == name && given == value)
    };
    // Without their names, which would only be listed in the program.
    let count = variables.iter().filter(is_hosts).count();
    Ok((variables, count))
}

pub fn the_environment_is_its_own(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (variables, count) = environment(evidence, &command.process)?;
    let seen = format!("in the command's environment: {count} variables of the host's");
    require!(count == 0, EnvironmentLeaked, "PATH, TERM, and what you choose", "{seen}");
    let path = variables.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let hosts = evidence.host.environment.iter().find(|(name, _)| *name == "PATH");
    let (is_hosts, expected) = (hosts.is_some_and(|(_, value)| value == path), "a PATH with the rootfs's directories");
    require!(!is_hosts, EnvironmentLeaked, expected, "the command's PATH is the host's, word for word");
    let has_bin = path.split(':').any(|directory| directory == "/bin");
    require!(has_bin, NoPath, "a PATH with the rootfs's directories, /bin among them", "PATH is {path:?}");
    Ok(())
}

/// The command can read the environment of every process in its PID namespace.
pub fn no_other_process_has_the_hosts_environment(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    for task in command.tasks.iter().filter(|it| !it.is_thread() && it.tid != command.pid()) {
        let (_, count) = environment(evidence, &task.process)?;
        if count > 0 {
            let (inner, line) = (task.process.inner_pid(), task.process.line());
            let seen =
                format!("/proc/{inner}/environ in there, of `{line}`, has {count} of the host's variables in it");
            let diagnosis = if inner == 1 { Diagnosis::EnvironmentOfProcess1 } else { Diagnosis::EnvironmentOfAHelper };
            return Err(failure(diagnosis, seen, "PATH, TERM, and what you choose"));
        }
    }
    Ok(())
}

pub fn its_descriptors_are_its_own(sandbox: &Sandbox) -> Checked {
    // What a careless caller leaves open: at the first free number, and where a short loop doesn't come.
    let mut open: Vec<OwnedFd> = vec![File::open("/").context("open(\"/\")")?.into()];
    open.push(File::open("/etc/passwd").context("open(\"/etc/passwd\")")?.into());
    open.push(io::pipe().context("pipe")?.1.into());
    sandbox.draw.shuffle(&mut open);
    for (fd, least) in open.iter().zip([3, 20, 300]) {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).context("fcntl(F_SETFD)")?;
        let number = sandbox.draw.number(least, 3 * least).cast_signed();
        fcntl(fd, FcntlArg::F_DUPFD(number)).context("fcntl(F_DUPFD)")?;
    }
    let (evidence, open) = observe_more(sandbox, &Invocation::default(), |command| {
        let pid = command.pid();
        let above = sandbox.host.numbers(pid, "fd")?.into_iter().filter(|fd| *fd > 2);
        let target = |fd| sandbox.host.link(pid, &format!("fd/{fd}")).unwrap_or_default();
        let lines = above.map(|fd| format!("/proc/{pid}/fd/{fd} leads to {}", target(fd).display()));
        Ok(lines.collect::<Vec<_>>())
    })?;
    evidence.command()?;
    require!(open.is_empty(), DescriptorsLeaked, "0, 1 and 2, and no others", "{}", open.join(", "));
    no_other_process_has_a_file_of_the_hosts(&evidence)
}

/// Of another process in the container, only its descriptors count: its root and its program may be the host's.
fn no_other_process_has_a_file_of_the_hosts(evidence: &Evidence) -> Checked {
    for task in &evidence.command()?.tasks {
        let Some(escape) = task.escapes.iter().find(|it| it.link.starts_with("fd/")) else { continue };
        let (path, to) = (format!("{}/{}", task.path(), escape.link), escape.to.display());
        let seen = format!("{path}, of `{}`, leads to {to} on the host", task.process.line());
        let diagnosis = match escape.kind {
            EscapeKind::File => Diagnosis::ForeignFileOpen,
            _ => Diagnosis::DescriptorsLeaked,
        };
        return Err(failure(diagnosis, seen, "no process in the container has a file of the host's open"));
    }
    Ok(())
}
