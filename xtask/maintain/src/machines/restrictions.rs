//! Machines with restrictions: what `doctor` and `run` print there, and whether the cure that they name works.

use anyhow::Result;

use super::Answer;
use super::cases::IMAGE;
use super::guest::{Guest, Who};

/// A restriction.
pub struct Restriction {
    name: &'static str,
    /// What makes it and undoes it, as root. Where that isn't possible, `set` fails and prints why.
    set: &'static str,
    undo: &'static str,
    /// What comes before a command: a container's start.
    inside: &'static str,
    /// What must be printed; empty if it makes no difference.
    cure: &'static str,
    /// What is done about it: a command for the user, or else a `run` or an `inside` with the option.
    cured: Cured,
}

enum Cured {
    /// There is nothing to cure.
    Unneeded,
    /// The cure is a command.
    Command,
    /// The cure is an option of `run`.
    Option(&'static str),
    /// The cure is another start of the container.
    Inside(&'static str),
}
use Cured::{Command, Inside, Option as RunOption, Unneeded};

const fn setting(
    name: &'static str,
    set: &'static str,
    undo: &'static str,
    cure: &'static str,
    cured: Cured,
) -> Restriction {
    Restriction { name, set, undo, inside: "", cure, cured }
}

pub const ALL: &[Restriction] = &[
    setting(
        "user.max_user_namespaces=0",
        "sysctl -q user.max_user_namespaces=0",
        "sysctl -q user.max_user_namespaces=15000",
        "sudo sysctl user.max_user_namespaces=15000",
        Command,
    ),
    setting(
        "kernel.unprivileged_userns_clone=0",
        "sysctl -q kernel.unprivileged_userns_clone=0",
        "sysctl -q kernel.unprivileged_userns_clone=1",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
        Command,
    ),
    setting(
        "kernel.apparmor_restrict_unprivileged_userns=1",
        "sysctl -q kernel.apparmor_restrict_unprivileged_userns=1",
        "true",
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        Command,
    ),
    setting(
        "/proc with hidepid=2",
        "mount -o remount,hidepid=2 /proc",
        "mount -o remount,hidepid=0 /proc",
        "",
        Unneeded,
    ),
    setting(
        "kernel.yama.ptrace_scope=2",
        "sysctl -q kernel.yama.ptrace_scope=2",
        "sysctl -q kernel.yama.ptrace_scope=0",
        "",
        Unneeded,
    ),
    setting(
        "/home and /tmp are noexec",
        "for it in /home /tmp; do mount --bind $it $it && mount -o remount,bind,noexec $it; done",
        "umount /home /tmp",
        "",
        Unneeded,
    ),
    setting(
        "a masked part of /proc",
        "mount -t tmpfs -o ro tmpfs /proc/irq",
        "umount /proc/irq",
        "use `--privilege sudo`",
        RunOption("--privilege sudo"),
    ),
    Restriction {
        name: "in a container of podman, as root",
        set: IMAGE,
        undo: "podman rmi -f localhost/machine >/dev/null",
        inside: "sudo podman run --rm --network=none -v $PWD:$PWD localhost/machine",
        cure: "`--privileged`",
        cured: Inside("sudo podman run --rm --network=none --privileged -v $PWD:$PWD localhost/machine"),
    },
    Restriction {
        name: "in a container of systemd-nspawn, as root",
        set: "cp -a /opt/mini-docker/rootfs /var/lib/nspawn && mkdir -p /var/lib/nspawn/usr && touch /var/lib/nspawn/etc/os-release",
        undo: "rm -rf /var/lib/nspawn",
        inside: "sudo systemd-nspawn --quiet --pipe --register=no --keep-unit -D /var/lib/nspawn --bind=$PWD",
        cure: "",
        cured: Unneeded,
    },
];

/// Makes a restriction, prints what the commands say, applies the cure, and undoes it.
///
/// # Errors
/// If ssh can't be started.
pub fn check(guest: &Guest, it: &Restriction) -> Result<Answer> {
    let answer =
        |answer, is_right| Answer { part: "Restrictions", who: "user", command: it.name.to_owned(), answer, is_right };
    let set = guest.run(Who::Root, it.set)?;
    if !set.is_success() {
        // Only a setting that this kernel doesn't have may be missing.
        let is_missing = set.text.contains("No such file or directory") && it.set.starts_with("sysctl");
        return Ok(answer(
            if is_missing { "this kernel has no such setting".into() } else { set.joined() },
            is_missing,
        ));
    }
    let found = observe(guest, it);
    let undone = guest.run(Who::Root, it.undo)?;
    let (text, is_right) = found?;
    Ok(answer(text, is_right && undone.is_success()))
}

fn observe(guest: &Guest, it: &Restriction) -> Result<(String, bool)> {
    let run = |inside: &str, option: &str| {
        guest.run(Who::User, &format!("{inside} $PWD/mini-docker run {option} step04 -- hostname"))
    };
    // A line of doctor's, without the columns and with what is continued below it.
    let doctor = guest.run(
        Who::User,
        &format!("COLUMNS=1000; export COLUMNS; {} $PWD/mini-docker doctor | grep -e FAIL -e 'note .*namespace' -e 'note root'", it.inside),
    )?;
    let doctor = words(&doctor.text);
    let before = run(it.inside, "")?;
    let printed = format!("{doctor} {}", words(&before.text));
    let mut text = format!("doctor: {}; run: {}", if doctor.is_empty() { "ok" } else { &doctor }, before.joined());
    let after = match it.cured {
        Unneeded => before,
        Command => {
            let cure = guest.run(Who::User, it.cure)?;
            if !cure.is_success() {
                return Ok((format!("{text}; the cure fails: {}", cure.joined()), false));
            }
            run(it.inside, "")?
        }
        RunOption(option) => run(it.inside, option)?,
        Inside(inside) => run(inside, "")?,
    };
    let works = after.joined() == "mini-docker, status 0";
    if !matches!(it.cured, Unneeded) {
        text += &format!("; with the cure: {}", after.joined());
    }
    Ok((text, works && printed.contains(it.cure)))
}

/// Returns a text with single blanks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
