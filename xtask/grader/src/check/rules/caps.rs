//! Exercise `caps`: the command has seven capabilities, and can gain no others.

use ::caps::{CapSet, Capability, CapsHashSet};
use lab::procfs::{Pid, Status};

use super::*;

/// What the command keeps: Docker's default set, without the capabilities that reach the host.
const KEPT: [Capability; 7] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
];

/// No set has more than these. At execve(2), root regains dropped capabilities from the bounding and the inheritable set.
pub fn its_capabilities_are_few(sandbox: &Sandbox) -> Checked {
    let (pid, status) = observe_status(sandbox)?;
    for (name, diagnosis) in [
        ("CapBnd", Diagnosis::CapabilitiesKept),
        ("CapInh", Diagnosis::CapabilitiesInherited),
        ("CapAmb", Diagnosis::CapabilitiesInherited),
        ("CapPrm", Diagnosis::CapabilitiesKept),
        ("CapEff", Diagnosis::CapabilitiesKept),
    ] {
        let set = capabilities(&status, name)?;
        let excess = set & !kept();
        if excess != 0 {
            let seen = format!("{name} in /proc/{pid}/status is {set:016x}, which includes {}", names(excess));
            return Err(failure(diagnosis, seen, format!("at most {:016x}: {}", kept(), names(kept()))));
        }
    }
    Ok(())
}

pub fn it_keeps_what_root_needs(sandbox: &Sandbox) -> Checked {
    let ours = mask_of(::caps::read(None, CapSet::Bounding)?);
    let (pid, status) = observe_status(sandbox)?;
    for name in ["CapBnd", "CapPrm", "CapEff"] {
        let set = capabilities(&status, name)?;
        // A program can't keep what this machine doesn't grant.
        let missing = kept() & ours & !set;
        let seen = format!("{name} in /proc/{pid}/status is {set:016x}, which lacks {}", names(missing));
        require!(missing == 0, CapabilitiesMissing, format!("at least {:016x}: {}", kept(), names(kept())), "{seen}");
    }
    Ok(())
}

pub fn it_gains_no_privileges(sandbox: &Sandbox) -> Checked {
    let (pid, status) = observe_status(sandbox)?;
    let seen = format!("NoNewPrivs in /proc/{pid}/status is 0");
    require!(status.field("NoNewPrivs") == Some("1"), PrivilegesGainable, "1", "{seen}");
    Ok(())
}

/// Runs the program, and returns the command's PID and its status.
fn observe_status(sandbox: &Sandbox) -> Checked<(Pid, Status)> {
    be_a_careless_caller()?;
    let evidence = observe_as(sandbox, &Invocation::default())?;
    let command = evidence.command()?;
    Ok((command.pid(), command.tasks[0].status.clone()))
}

/// Returns a set of a status: capabilities(7) describes each.
fn capabilities(status: &Status, name: &str) -> Result<u64> {
    status.set(name).with_context(|| format!("{name} is missing in a process's status"))
}

/// Lets the program inherit all capabilities of this process, even those that it would keep as another user.
fn be_a_careless_caller() -> Result<()> {
    let permitted = ::caps::read(None, CapSet::Permitted).context("capget")?;
    ::caps::set(None, CapSet::Inheritable, &permitted).context("capset")?;
    // Before Linux 4.3 there is no ambient set.
    permitted.iter().for_each(|it| _ = ::caps::raise(None, CapSet::Ambient, *it));
    Ok(())
}

fn kept() -> u64 {
    mask_of(KEPT.into())
}

fn mask_of(capabilities: CapsHashSet) -> u64 {
    capabilities.iter().fold(0, |mask, it| mask | it.bitmask())
}

/// Names the first capabilities in a mask, and counts the others.
fn names(mask: u64) -> String {
    const MOST: usize = 7;
    let mut bits: Vec<u8> = (0..64).filter(|bit| mask >> bit & 1 == 1).collect();
    // CAP_SYS_ADMIN first, because it is the one that matters most.
    bits.sort_by_key(|bit| *bit != Capability::CAP_SYS_ADMIN.index());
    let name = |bit: &u8| ::caps::all().into_iter().find(|it| it.index() == *bit).map(|it| it.to_string());
    let first = bits.iter().take(MOST).map(|bit| name(bit).unwrap_or_else(|| format!("capability {bit}")));
    let mut text = first.collect::<Vec<_>>().join(", ");
    if bits.len() > MOST {
        text += &format!(", and {} more", bits.len() - MOST);
    }
    text
}
