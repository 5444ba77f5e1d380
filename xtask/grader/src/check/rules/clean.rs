//! Exercise `clean`: nothing of the host's environment and none of its open files.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::*;

const VALUE: &str = "of-the-host";

/// Returns the name of a variable that no program can know.
fn unknown_variable() -> String {
    format!("X{:X}", RandomState::new().hash_one(std::process::id()))
}

pub fn the_environment_is_its_own(sandbox: &Sandbox) -> Checked {
    // And one that people try first.
    let secret = unknown_variable();
    let given = [("SECRET", VALUE), (secret.as_str(), VALUE)];
    let invocation = Invocation { variables: &given, ..Default::default() };
    let (evidence, environment) =
        observe_more(sandbox, &invocation, |command| Ok(sandbox.host.read(command.pid(), "environ")?))?;
    evidence.command()?;
    let environment = String::from_utf8_lossy(&environment);
    let variables: Vec<_> = environment.split('\0').filter_map(|it| it.split_once('=')).collect();
    let hosts: Vec<_> = sandbox.environment.iter().filter_map(|(name, value)| Some((*name, value.to_str()?))).collect();
    let is_hosts = |it: &&(&str, &str)| given.contains(it) || !["PATH", "TERM"].contains(&it.0) && hosts.contains(it);
    // Without their names, which would only be listed in the program.
    let count = variables.iter().filter(is_hosts).count();
    let has_given = variables.iter().any(|it| given.contains(it));
    let seen = format!("in the command's environment: {count} variables of the host's");
    require!(!has_given, EnvironmentLeaked, "PATH, TERM, and what you choose", "{seen}");
    let (_, path) = variables.iter().find(|(name, _)| *name == "PATH").unwrap_or(&("PATH", ""));
    let (is_hosts, expected) = (hosts.contains(&("PATH", path)), "a PATH with the rootfs's folders");
    require!(!is_hosts, EnvironmentLeaked, expected, "the command's PATH is the host's, word for word");
    let has_bin = path.split(':').any(|directory| directory == "/bin");
    require!(has_bin, NoPath, "a PATH with the rootfs's folders, /bin among them", "PATH is {path:?}");
    Ok(())
}

/// The command can read the environment of process 1 of its PID namespace.
pub fn process_1_has_none_of_it_either(sandbox: &Sandbox) -> Checked {
    let secret = unknown_variable();
    let invocation = Invocation { variables: &[(&secret, VALUE)], ..Default::default() };
    let (evidence, first) = observe_more(sandbox, &invocation, |command| {
        let namespace = sandbox.host.id(command.pid(), "ns/pid")?;
        let is_first = |it: &Process| it.inner_pid() == 1 && sandbox.host.id(it.pid, "ns/pid") == Ok(namespace);
        let Some(first) = sandbox.guests()?.into_iter().find(is_first) else { return Ok(None) };
        Ok(Some((first.line(), sandbox.host.read(first.pid, "environ").context("reading environ")?)))
    })?;
    evidence.command()?;
    match first {
        Some((line, environment)) if String::from_utf8_lossy(&environment).contains(&secret) => {
            let seen = format!("/proc/1/environ in there, of `{line}`, has the host's variables in it");
            Err(fail!(EnvironmentOfProcess1, "PATH, TERM, and what you choose", "{seen}"))
        }
        _ => Ok(()),
    }
}

pub fn its_descriptors_are_its_own(sandbox: &Sandbox) -> Checked {
    // A careless caller leaves one open at the first free number, and one where a short loop doesn't come.
    let low = File::open("/").context("open(\"/\")")?;
    fcntl(&low, FcntlArg::F_SETFD(FdFlag::empty())).context("fcntl(F_SETFD)")?;
    fcntl(&low, FcntlArg::F_DUPFD(500)).context("fcntl(F_DUPFD)")?;
    let (evidence, open) = observe_more(sandbox, &Invocation::default(), |command| {
        let pid = command.pid();
        let above = sandbox.host.descriptors(pid)?.into_iter().filter(|fd| *fd > 2);
        let target = |fd| sandbox.host.link(pid, &format!("fd/{fd}")).unwrap_or_default();
        let lines = above.map(|fd| format!("/proc/{pid}/fd/{fd} leads to {}", target(fd).display()));
        Ok(lines.collect::<Vec<_>>())
    })?;
    evidence.command()?;
    require!(open.is_empty(), DescriptorsLeaked, "0, 1 and 2, and no others", "{}", open.join(", "));
    Ok(())
}
