//! Exercise `clean`: nothing from the host's environment, and none of its open files.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::*;

/// The variables that may come from the host.
const ALLOWED: [&str; 2] = ["PATH", "TERM"];

/// Returns the environment of a process, and the number of variables in it that come from the host.
fn environment(evidence: &Evidence, process: &Process) -> (Vec<(String, String)>, usize) {
    let mut all = evidence.observation.iter().flat_map(|it| &it.environments);
    let bytes = all.find(|(pid, _)| *pid == process.pid).map(|(_, bytes)| bytes.as_slice());
    let text = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let variables: Vec<(String, String)> =
        text.split('\0').filter_map(|it| it.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    let hosts: Vec<_> = evidence.host.environment.iter().filter(|(name, _)| !ALLOWED.contains(name)).collect();
    let is_hosts = |(name, value): &&(String, String)| {
        evidence.variables.iter().any(|(_, given)| given == value)
            || hosts.iter().any(|(its, given)| its == name && given == value)
    };
    // The report doesn't name them, because a program would only remove the names in the list.
    let count = variables.iter().filter(is_hosts).count();
    (variables, count)
}

pub fn the_environment_is_its_own(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (variables, count) = environment(evidence, &command.process);
    let seen = format!("the command's environment contains {count} of the host's variables");
    require!(count == 0, EnvironmentLeaked, "only PATH, TERM, and variables that you choose", "{seen}");
    let path = variables.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let hosts = evidence.host.environment.iter().find(|(name, _)| *name == "PATH");
    let (is_hosts, expected) = (hosts.is_some_and(|(_, value)| value == path), "a PATH of directories in the rootfs");
    require!(!is_hosts, EnvironmentLeaked, expected, "the command's PATH is identical to the host's");
    let has_bin = path.split(':').any(|directory| directory == "/bin");
    require!(has_bin, NoPath, "a PATH of directories in the rootfs, including /bin", "PATH is {path:?}");
    Ok(())
}

/// The command can read the environment of every process in its PID namespace.
pub fn no_other_process_has_the_hosts_environment(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    for task in command.tasks.iter().filter(|it| !it.is_thread() && it.tid != command.pid()) {
        let (_, count) = environment(evidence, &task.process);
        if count > 0 {
            let (inner, line) = (task.process.inner_pid(), task.process.line());
            let seen =
                format!("in the container, /proc/{inner}/environ of `{line}` contains {count} of the host's variables");
            let diagnosis = if inner == 1 { Diagnosis::EnvironmentOfProcess1 } else { Diagnosis::EnvironmentOfAHelper };
            return Err(failure(diagnosis, seen, "only PATH, TERM, and variables that you choose"));
        }
    }
    Ok(())
}

pub fn its_descriptors_are_its_own(sandbox: &Sandbox) -> Checked {
    // What a careless caller leaves open: at the first free number, and at numbers that a short loop doesn't reach.
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
        let lines = above.map(|fd| format!("/proc/{pid}/fd/{fd} points to {}", target(fd).display()));
        Ok(lines.collect::<Vec<_>>())
    })?;
    evidence.command()?;
    require!(open.is_empty(), DescriptorsLeaked, "only descriptors 0, 1 and 2", "{}", open.join(", "));
    no_other_process_has_a_file_of_the_hosts(&evidence)
}

/// For other processes in the container, only descriptors count, because their root and program may be the host's.
fn no_other_process_has_a_file_of_the_hosts(evidence: &Evidence) -> Checked {
    for task in &evidence.command()?.tasks {
        let Some(escape) = task.escapes.iter().find(|it| it.link.starts_with("fd/")) else { continue };
        let (path, to) = (format!("{}/{}", task.path(), escape.link), escape.to.display());
        let seen = format!("{path} of `{}` points to {to} on the host", task.process.line());
        let diagnosis = match escape.kind {
            EscapeKind::File => Diagnosis::ForeignFileOpen,
            _ => Diagnosis::DescriptorsLeaked,
        };
        return Err(failure(diagnosis, seen, "no file of the host's open in the container"));
    }
    Ok(())
}
