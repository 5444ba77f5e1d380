//! Machines with restrictions: what `doctor` and `run` print there, and whether the cure that they name works.

use anyhow::Result;

use super::Answer;
use super::cases::IMAGE;
use super::guest::{Guest, Output, Who};

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
    /// What is done about it.
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
        "umount --lazy /home /tmp",
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

/// Makes a restriction, notes what the commands print, applies the cure, and undoes it.
///
/// # Errors
/// If ssh can't be started.
pub fn check(guest: &Guest, it: &Restriction) -> Result<Vec<Answer>> {
    let set = guest.run(Who::Root, it.set)?;
    let mut answers = match set.is_success() {
        true => observe(guest, it)?,
        // Only a setting that this kernel doesn't have may be missing.
        false if set.text.contains("No such file or directory") && it.set.starts_with("sysctl") => {
            return Ok(vec![answer(it, "doctor", "this kernel has no such setting".into(), true)]);
        }
        false => vec![answer(it, "doctor", set.joined(), false)],
    };
    let undone = guest.run(Who::Root, it.undo)?;
    if !undone.is_success() {
        answers.push(answer(it, "afterwards", undone.joined(), false));
    }
    Ok(answers)
}

fn answer(it: &Restriction, who: &'static str, answer: String, is_right: bool) -> Answer {
    Answer { part: super::RESTRICTIONS, who, command: it.name.to_owned(), answer, is_right }
}

fn observe(guest: &Guest, it: &Restriction) -> Result<Vec<Answer>> {
    let run = |inside: &str, option: &str| {
        guest.run(Who::User, &format!("{inside} $PWD/mini-docker run {option} step04 -- hostname"))
    };
    // The first line that matters, with what is continued below it.
    let lines = "sed -e ':a;N;$!ba;s/\\n \\{20,\\}/ /g' | grep -m 1 -e FAIL -e 'note .*namespace'";
    let doctor = guest.run(Who::User, &format!("{} $PWD/mini-docker doctor | {lines}", it.inside))?;
    let doctor = doctor.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = run(it.inside, "")?;
    let cured = match it.cured {
        Unneeded => None,
        Command => {
            let cure = guest.run(Who::User, it.cure)?;
            Some(if cure.is_success() { run(it.inside, "")? } else { cure })
        }
        RunOption(option) => Some(run(it.inside, option)?),
        Inside(inside) => Some(run(inside, "")?),
    };
    let works = |output: &Output| output.joined() == "mini-docker, status 0";
    let is_named = doctor.contains(it.cure) && (it.cure.is_empty() || first.text.contains(it.cure));
    let mut answers = vec![
        answer(it, "doctor", if doctor.is_empty() { "ok".into() } else { doctor }, is_named),
        answer(it, "run", first.joined(), is_named && (cured.is_some() || works(&first))),
    ];
    if let Some(cured) = cured {
        answers.push(answer(it, "with the cure", cured.joined(), works(&cured)));
    }
    Ok(answers)
}
