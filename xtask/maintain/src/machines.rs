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
use crate::finale;

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
    /// Run only what is under a heading with this text, such as restrictions; may be given several times
    #[arg(long, value_name = "TEXT", requires = "check", conflicts_with = "short")]
    only: Vec<String>,
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
    /// Further packages for the complete check, each with a comma before it.
    more: &'static str,
    /// The exercises that can't be graded for an ordinary user: a user namespace has no other users, and before Linux 6.6 a tmpfs
    /// stores no marks of an overlay there.
    need_root: &'static [&'static str],
}

const MACHINES: [Machine; 2] = [
    Machine { name: "debian13", title: "Debian 13", suite: "trixie", more: ",docker-cli", need_root: &["user"] },
    Machine { name: "debian12", title: "Debian 12", suite: "bookworm", more: "", need_root: &["overlay", "user"] },
];

/// The exit status if no machine can be built here: a program is missing, or the network. `check` uses it for the same.
pub const CANNOT_RUN: u8 = 77;

/// Builds a machine, boots it, and logs in or checks it.
///
/// # Errors
/// When the machine doesn't boot, or a check fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let names = MACHINES.map(|it| it.name);
    let named = |name: &String| MACHINES.iter().find(|it| it.name == *name);
    let machines = match &options.name {
        Some(name) => vec![named(name).with_context(|| format!("there is no machine '{name}': {}", names.join(", ")))?],
        None if options.check && !options.short => MACHINES.iter().collect(),
        None => vec![&MACHINES[0]],
    };
    for machine in &machines {
        tasks(machine, options)?;
        if let Err(error) = image::needs(machine, options.short) {
            eprintln!("xtask: {error:#}");
            return Ok(ExitCode::from(CANNOT_RUN));
        }
    }
    let payload = payload::make(options.short)?;
    let mut wrong = 0;
    for machine in machines {
        let image = timed("image", || image::ensure(machine, options.short))?;
        let guest = timed("boot", || Guest::boot(&image, &payload))?;
        let unpacked = guest.run(Who::Root, "tar -xf /dev/vdb -C /opt")?;
        ensure!(unpacked.is_success(), "unpacking the archive in the machine: {}", unpacked.joined());
        if options.check {
            let answers = check(machine, &guest, options)?;
            wrong += answers.iter().filter(|it| !it.is_right).count();
            if options.write {
                page::write(machine, guest.run(Who::User, "uname -r")?.text.trim(), &answers)?;
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

/// The headings, in the order in which the page has them. The solutions take the longest.
const PARTS: [&str; 8] = [STEPS, TRANSCRIPTS, TERMINAL, RUNTIME, FINALE, RESTRICTIONS, SOLUTIONS, AFTERWARDS];
const STEPS: &str = "The steps";
const TRANSCRIPTS: &str = "The book's transcripts";
const TERMINAL: &str = "A shell at a terminal";
const RUNTIME: &str = "Limits of the OCI runtime";
const FINALE: &str = "The finale";
const RESTRICTIONS: &str = "Restrictions";
const SOLUTIONS: &str = "The solutions";
const AFTERWARDS: &str = "Afterwards";

/// What is run under a heading.
type Task = (&'static str, Box<dyn Fn(&Guest) -> Result<Vec<Answer>>>);

/// Returns everything to run.
fn tasks(machine: &Machine, options: &Options) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    for case in cases::all(machine, options.short)? {
        tasks.push((case.part, Box::new(move |guest| Ok(vec![case.check(guest)?]))));
    }
    if !options.short {
        for (who, step) in [(Who::User, "step02"), (Who::User, "step04"), (Who::Root, "step04")] {
            tasks.push((TERMINAL, Box::new(move |guest| Ok(vec![terminal::check(guest, who, step)]))));
        }
        for who in [Who::User, Who::Root] {
            tasks.push((FINALE, Box::new(move |guest| engines(guest, who))));
        }
        for restriction in restrictions::ALL {
            tasks.push((RESTRICTIONS, Box::new(move |guest| restrictions::check(guest, restriction))));
        }
    }
    let has = |part: &str, text: &String| part.to_lowercase().contains(&text.to_lowercase());
    for text in &options.only {
        ensure!(tasks.iter().any(|(part, _)| has(part, text)), "no heading has '{text}' in it: {}", PARTS.join(", "));
    }
    tasks.retain(|(part, _)| options.only.is_empty() || options.only.iter().any(|text| has(part, text)));
    tasks.sort_by_key(|(part, _)| PARTS.iter().position(|it| it == part));
    Ok(tasks)
}

/// Runs everything in a machine, and prints each command with what it did.
fn check(machine: &Machine, guest: &Guest, options: &Options) -> Result<Vec<Answer>> {
    let start = Instant::now();
    println!("\n{}, {}", machine.title, guest.run(Who::User, "uname -r")?.text.trim());
    let before = guest.run(Who::Root, cases::STATE)?;
    let mut answers = Vec::new();
    for (_, task) in tasks(machine, options)? {
        let start = Instant::now();
        let new = task(guest)?;
        let seconds = start.elapsed().as_secs();
        for it in &new {
            let verdict = if it.is_right { "ok  " } else { "FAIL" };
            println!("  {verdict} {:<9} {} → {} ({seconds} s)", it.who, it.command, it.answer);
        }
        answers.extend(new);
    }
    let after = guest.run(Who::Root, cases::STATE)?;
    let is_right = after == before;
    let new = after.text.lines().filter(|line| !before.text.lines().any(|it| it == *line));
    let gone = before.text.lines().filter(|line| !after.text.lines().any(|it| it == *line));
    let differences: Vec<_> = new.map(|it| format!("new: {it}")).chain(gone.map(|it| format!("gone: {it}"))).collect();
    let answer = if is_right { "the same as before".to_owned() } else { differences.join("; ") };
    println!("  {} afterwards, the machine: {answer}", if is_right { "ok  " } else { "FAIL" });
    let command = "its name, mounts, cgroups and processes".to_owned();
    answers.push(Answer { part: AFTERWARDS, who: "the machine", command, answer, is_right });
    eprintln!("machines: {}: {} commands in {} s", machine.title, answers.len(), start.elapsed().as_secs());
    if options.short || !options.only.is_empty() {
        eprintln!("machines: left out: {}; `cargo xtask machines --check` runs it", left_out(options));
    }
    Ok(answers)
}

/// Runs the finale in a machine, which has every engine; root leaves none out.
fn engines(guest: &Guest, who: Who) -> Result<Vec<Answer>> {
    let output = guest.run(who, "bin/maintain finale --check")?;
    let new = |(command, answer, is_right)| Answer { part: FINALE, who: who.name(), command, answer, is_right };
    let mut answers: Vec<Answer> = finale::parse(&output.text).into_iter().map(new).collect();
    // Root can run all of them.
    let is_complete = output.is_success() && (who != Who::Root || answers.len() == finale::CASES.len());
    if !is_complete && answers.iter().all(|it| it.is_right) {
        answers.push(new(("./mini-docker finale --check".into(), output.joined(), false)));
    }
    Ok(answers)
}

/// Describes what a check leaves out.
fn left_out(options: &Options) -> String {
    match options.only.join("' or '") {
        texts if !options.short => format!("everything without '{texts}' in its heading"),
        _ => {
            let parts = PARTS.iter().filter(|it| ![STEPS, SOLUTIONS, AFTERWARDS].contains(it));
            let parts = parts.copied().collect::<Vec<_>>().join(", ");
            format!("{parts}, the exercises that need no cgroup, Debian 12")
        }
    }
}

/// Runs a part, and prints its time.
fn timed<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = run();
    eprintln!("machines: {what}: {} s", start.elapsed().as_secs());
    result
}
