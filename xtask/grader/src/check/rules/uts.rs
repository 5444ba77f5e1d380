//! Exercise `uts`: a hostname of its own.

use super::*;

pub fn it_has_a_uts_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let expected = "a UTS namespace of its own";
    if command.new.contains(&"uts") {
        return Ok(());
    }
    let mut seen = format!("/proc/{}/ns/uts is the host's", command.pid());
    // The flag that was passed is another one.
    if !command.new.is_empty() {
        seen += &format!(", and {} is not", command.new.join(", "));
    }
    if let Some(renamed) = &evidence.changes.renamed {
        return Err(fail!(RenamedHost, expected, "{seen}; the throwaway host was renamed to {renamed:?}"));
    }
    require!(!command.new.is_empty(), IsolatedNothing, expected, "{seen}, and so are all other namespaces");
    Err(fail!(NoUtsNamespace, expected, "{seen}"))
}

pub fn it_is_called_mini_docker(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let wanted = evidence.hostname.as_deref().unwrap_or("mini-docker");
    let (name, expected) = (&command.name, format!("{wanted:?}"));
    let is_first_letter = name != wanted && name.len() == 1 && wanted.starts_with(name.as_str());
    require!(!is_first_letter, BytesNotStr, expected, "the container's hostname is {name:?}");
    require!(name == wanted, NotNamed, expected, "the container's hostname is {name:?}");
    if let Some(early) = command.early.name.as_ref().filter(|it| *it != wanted) {
        let seen = format!("the hostname was {early:?} when the command started, and changed later");
        return Err(fail!(Late, format!("{wanted:?} before the command starts"), "{seen}"));
    }
    Ok(())
}

pub fn the_host_keeps_its_name(evidence: &Evidence) -> Checked {
    let Some(name) = &evidence.changes.renamed else { return Ok(()) };
    let seen = format!("the throwaway host was renamed to {name:?}, at least for a moment");
    Err(fail!(RenamedHost, format!("{:?} at all times", lab::host::HOSTNAME), "{seen}"))
}
