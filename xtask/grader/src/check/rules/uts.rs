//! Exercise `uts`: a hostname of its own.

use super::*;

pub fn it_has_a_uts_namespace(evidence: &Evidence<'_>) -> Checked {
    let command = evidence.command()?;
    let expected = "a UTS namespace of its own";
    let seen = format!("/proc/{}/ns/uts is the host's", command.pid());
    if command.new.contains(&"uts") {
        return Ok(());
    }
    if let Some(renamed) = evidence.renamed() {
        return Err(fail!(RenamedHost, expected, "{seen}, and {renamed}"));
    }
    require!(!command.new.is_empty(), IsolatedNothing, expected, "{seen}, and so are all the others");
    Err(fail!(NoUtsNamespace, expected, "{seen}"))
}

pub fn it_is_called_mini_docker(evidence: &Evidence<'_>) -> Checked {
    let command = evidence.command()?;
    let name = &command.name;
    require!(name == "mini-docker", NotNamed, "\"mini-docker\"", "the hostname in it is {name:?}");
    Ok(())
}

pub fn the_host_keeps_its_name(evidence: &Evidence<'_>) -> Checked {
    match evidence.renamed() {
        None => Ok(()),
        Some(seen) => Err(fail!(RenamedHost, format!("{:?}, at all times", lab::host::HOSTNAME), "{seen}")),
    }
}
