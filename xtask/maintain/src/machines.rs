//! `cargo xtask machines`: virtual machines with Debian, as people have them: systemd is process 1, cgroups have version 2, and one
//! logs in.
//!
//! ```text
//! image     a disk of Debian's packages, kept in target/machines/ until what it is made of changes
//! payload   the archive of `cargo xtask dist`, the solutions, and the OCI runtime, on a second disk
//! guest     QEMU, and ssh to the machine in it
//! cases     what is typed, by whom, and what it must answer
//! page      the table in the book
//! ```

mod cases;
mod guest;
mod image;
mod page;
mod payload;
mod restrictions;
mod terminal;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::guest::{Guest, Who};

/// Boot a virtual machine with Debian, and log in, or check everything in it
#[derive(clap::Args, Debug)]
pub struct Options {
    /// debian13 or debian12 [default: debian13, and with --check both]
    name: Option<String>,
    /// Run the steps, the exercises and more in it, and compare what they print with what they should
    #[arg(long)]
    check: bool,
    /// Check only the steps and the exercises with cgroups, on a smaller machine
    #[arg(long, requires = "check")]
    short: bool,
    /// Write the table into the book, in book/text/proven.md
    #[arg(long, requires = "check", conflicts_with = "short")]
    write: bool,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// Its name on the command line.
    name: &'static str,
    /// Its name for readers.
    title: &'static str,
    /// Debian's name for the release.
    suite: &'static str,
}

const MACHINES: [Machine; 2] = [
    Machine { name: "debian13", title: "Debian 13", suite: "trixie" },
    Machine { name: "debian12", title: "Debian 12", suite: "bookworm" },
];

/// Builds a machine, boots it, and logs in or checks it.
///
/// # Errors
/// When something is missing on this machine, the machine doesn't boot, or a check fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let names = MACHINES.map(|it| it.name);
    let named = |name: &String| MACHINES.iter().find(|it| it.name == *name);
    let machines = match &options.name {
        Some(name) => vec![named(name).with_context(|| format!("there is no machine '{name}': {}", names.join(", ")))?],
        None if options.check && !options.short => MACHINES.iter().collect(),
        None => vec![&MACHINES[0]],
    };
    image::needs()?;
    let payload = payload::make(options.short)?;
    let mut wrong = 0;
    for machine in machines {
        let image = timed("image", || image::ensure(machine, options.short))?;
        let guest = timed("boot", || Guest::boot(&image, &payload))?;
        guest.run(Who::Root, "tar -xf /dev/vdb -C /opt").context("unpacking the archive in the machine")?;
        if options.check {
            let results = check(machine, &guest, options.short)?;
            wrong += results.iter().filter(|it| !it.is_right).count();
            if options.write {
                page::write(machine, guest.run(Who::User, "uname -r")?.text.trim(), &results)?;
            }
        } else {
            eprintln!("machines: in /opt/mini-docker: `./mini-docker run step04`; `sudo` needs no password");
            guest.log_in()?;
        }
    }
    ensure!(wrong == 0, "{wrong} commands did something else than they should");
    Ok(ExitCode::SUCCESS)
}

/// What a command did.
#[derive(Debug)]
struct Answer {
    /// The heading under which it is shown.
    part: &'static str,
    who: &'static str,
    command: String,
    answer: String,
    is_right: bool,
}

/// Runs everything in a machine, and prints each command with what it did.
fn check(machine: &Machine, guest: &Guest, short: bool) -> Result<Vec<Answer>> {
    let start = Instant::now();
    println!("\n{}, {}", machine.title, guest.run(Who::User, "uname -r")?.text.trim());
    let before = guest.run(Who::Root, cases::STATE)?;
    let mut results = Vec::new();
    let mut note = |answer: Answer, start: Instant| {
        let verdict = if answer.is_right { "ok  " } else { "FAIL" };
        println!(
            "  {verdict} {:<9} {} → {} ({} s)",
            answer.who,
            answer.command,
            answer.answer,
            start.elapsed().as_secs()
        );
        results.push(answer);
    };
    for case in cases::all(short)? {
        let start = Instant::now();
        let answer = guest.run(case.who, &case.script)?.joined();
        let is_right = answer == case.expected;
        let answer = if is_right { answer } else { format!("{answer}; expected: {}", case.expected) };
        note(Answer { part: case.part, who: case.who.name(), command: case.command, answer, is_right }, start);
    }
    if !short {
        for (who, step) in [(Who::User, "step02"), (Who::User, "step04"), (Who::Root, "step04")] {
            let start = Instant::now();
            note(terminal::check(guest, who, step), start);
        }
        for restriction in restrictions::ALL {
            let start = Instant::now();
            note(restrictions::check(guest, restriction)?, start);
        }
    }
    let start_of_last = Instant::now();
    let after = guest.run(Who::Root, cases::STATE)?;
    let (is_right, answer) = match after.text == before.text {
        true => (true, "the same as before".to_owned()),
        false => (false, format!("{} → {}", before.joined(), after.joined())),
    };
    let command = "its name, mounts, cgroups and processes".to_owned();
    note(Answer { part: "Afterwards", who: "", command, answer, is_right }, start_of_last);
    eprintln!("machines: {}: {} commands in {} s", machine.title, results.len(), start.elapsed().as_secs());
    if short {
        eprintln!("machines: left out: {}", cases::LEFT_OUT);
    }
    Ok(results)
}

/// Runs a part, and prints its time.
fn timed<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = run();
    eprintln!("machines: {what}: {} s", start.elapsed().as_secs());
    result
}
