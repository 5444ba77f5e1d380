//! `cargo xtask bench`: what a container of the last step costs, beside what others take for the same.
//!
//! No figure is of one program alone: a run of ours and one of a peer's take turns, and what is told is the median of their
//! ratios, pair by pair. So it holds on a busy machine and on another one, where milliseconds would not. The races are run on
//! throwaway hosts, whose namespaces cost everybody the same, and only after a look from outside whether each contender makes
//! the container that it is timed for.
//!
//! ```text
//! xtask bench          builds everybody; as root, and in a user namespace:
//! └─ xtask host        a throwaway host
//!    └─ xtask --track  on it: looks, races, counts
//! ```

mod contenders;
mod numbers;
mod report;
mod track;

use std::collections::BTreeMap;
use std::env;
use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::geteuid;

use self::contenders::{Contender, FLOOR, GO, MUSL, Missing, STATIC};
use self::numbers::{Calls, Race};
use self::track::{Line, Seen};
use crate::privilege::{self, Privilege};
use crate::rootfs::{self, Source};
use crate::steps::{self, Step};
use crate::{stdout, workspace};

pub use self::track::{TRACK, run as track};

/// What `xtask bench` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many pairs of runs each race has.
    pub runs: usize,
    /// Only see that everything runs: few runs, and no second way to build the step.
    pub short: bool,
    /// Also what takes minutes: from a clone to the first container, the tests, the book.
    pub full: bool,
    /// Write the tables into the book.
    pub write: bool,
    /// What the rootfs is made from; `None` takes the first source that can be had.
    pub source: Option<Source>,
}

/// How many pairs `--short` runs.
const SHORT: usize = 5;

/// What was found in one kind of place.
#[derive(Debug, Default)]
struct Findings {
    /// As a heading says it: `as root`.
    place: &'static str,
    seen: BTreeMap<String, Seen>,
    failed: BTreeMap<String, String>,
    races: BTreeMap<(String, String), Race>,
    calls: BTreeMap<String, Calls>,
}

/// What a long task took.
#[derive(Debug)]
struct Task {
    name: &'static str,
    /// Of it and all that it started, user and system.
    cpu: Duration,
    wall: Duration,
}

/// All that the tables show.
#[derive(Debug)]
struct Results {
    machine: Vec<(&'static str, String)>,
    runs: usize,
    ours: Vec<Contender>,
    peers: Vec<Contender>,
    missing: Vec<Missing>,
    steps: Vec<Step>,
    findings: Vec<Findings>,
    /// The warm `cargo xtask run`, and `cargo run` of a program that does nothing.
    warm: Race,
    tasks: Vec<Task>,
}

/// Builds, looks, races, and prints the tables.
///
/// # Errors
/// When something of ours, or of what is built for the bench, does not run. A peer's failure is told in the tables.
pub fn run(options: &Options) -> Result<ExitCode> {
    let runs = if options.short { SHORT } else { options.runs };
    ensure!(runs > 0, "no runs, no medians: --runs takes 1 or more");
    let room = lab::cargo::target_directory()?.join("bench");
    fs::create_dir_all(&room)?;
    let mut machine = machine();
    let load_before = load();
    let steps = steps::all()?;
    let last = steps.last().context("there are no steps")?.clone();

    build_steps(&lab::cargo::target_directory()?, &[])?;
    let programs = lab::cargo::target_directory()?.join("release");
    let mut missing = build_fixtures(&room)?;
    if options.short {
        for file in [STATIC, MUSL] {
            remove(&room.join(file))?;
        }
    } else {
        missing.extend(build_variants(&room, &last)?);
    }
    let options_of_rootfs = rootfs::Options { source: options.source.clone(), ..Default::default() };
    if options.source.is_some() || !room.join("rootfs/proc").exists() {
        rootfs::make(&room.join("rootfs"), &options_of_rootfs)?;
    }
    machine.push(("rootfs", kind_of(&room.join("rootfs"))));
    if room.join(FLOOR).exists() {
        fs::copy(room.join(FLOOR), room.join("rootfs/nothing")).context("copying a program into the bench's rootfs")?;
    }
    contenders::write_bundles(&room)?;

    let mut findings = Vec::new();
    for (privilege, place) in [(Privilege::Root, "as root"), (Privilege::User, "in a user namespace")] {
        if privilege == Privilege::Root && !geteuid().is_root() {
            missing.push(Missing { name: "all, as root".into(), cure: "run this as root, too".into() });
            continue;
        }
        if let Some(refusal) = lab::probe::probe(privilege)? {
            let cure = format!("{:#}", privilege::explain(privilege, refusal, &[privilege]));
            missing.push(Missing { name: format!("all, {place}"), cure });
            continue;
        }
        eprintln!("bench: {runs} pairs of runs in each race, {place}");
        findings.push(races(privilege, place, &room, &programs, runs)?);
    }
    ensure!(!findings.is_empty(), "{}", missing.iter().map(|it| it.cure.as_str()).collect::<Vec<_>>().join("; "));

    eprintln!("bench: `cargo xtask run`, warm, and `cargo run` of an empty program");
    let warm = warm(&room, &last, runs.div_ceil(4))?;
    let load_after = load();
    machine.push(("load, before and after", format!("{load_before}, {load_after}")));
    if options.write && load_before.max(load_after) > 1.5 {
        // We are one ourselves.
        eprintln!("bench: this machine is busy with other things, and the quartiles will be far apart");
    }
    let tasks = if options.full { tasks(&room, &last)? } else { Vec::new() };
    let (peers, more) = contenders::peers(&room);
    missing.extend(more);
    let ours = contenders::ours(&room, &programs.join(&last.name));
    let results = Results { machine, runs, ours, peers, missing, steps, findings, warm, tasks };
    results.ensure_ours_ran()?;

    let page = report::page(&results);
    stdout::write(&page)?;
    if options.write {
        let path = workspace::root().join("book/text/measured.md");
        fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("bench: wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

impl Results {
    /// A peer may be set up in a way that forbids it to run here. What we built must run.
    fn ensure_ours_ran(&self) -> Result<()> {
        for findings in &self.findings {
            let built = ["C floor", "Go program", "unshare"];
            let must = self.ours.iter().chain(self.peers.iter().filter(|it| built.contains(&it.name.as_str())));
            let steps = self.steps.iter().map(|step| step.short().to_owned());
            for name in must.map(|it| it.name.clone()).chain(steps).chain([track::NOTHING.to_owned()]) {
                if let Some(why) = findings.failed.get(&name) {
                    bail!("{name}, {}: {why}", findings.place);
                }
            }
            for our in &self.ours {
                ensure!(findings.seen.contains_key(&our.name), "{} was not looked at, {}", our.name, findings.place);
            }
        }
        Ok(())
    }
}

/// Runs the races on a throwaway host.
fn races(privilege: Privilege, place: &'static str, room: &Path, programs: &Path, runs: usize) -> Result<Findings> {
    let privilege = if privilege == Privilege::Root { "root" } else { "user" };
    // Not the file that this process executes, which a build may have replaced since: `cargo xtask ci` builds.
    let programs_here = lab::cargo::steps_and(&["xtask", "maintain"])?;
    let exe = &programs_here["maintain"];
    let mut host = Command::new(&programs_here["xtask"]);
    host.args(["host", "--die-with-parent", "--privilege", privilege, "--"]);
    host.arg(exe).arg(TRACK).args([room, programs]).arg(runs.to_string()).current_dir(room);
    let mut host = host.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting a throwaway host")?;
    let mut findings = Findings { place, ..Default::default() };
    for line in BufReader::new(host.stdout.take().context("its stdout is a pipe")?).lines() {
        match Line::parse(&line?)? {
            Line::Seen(name, seen) => drop(findings.seen.insert(name, seen)),
            Line::Failed(name, why) => {
                eprintln!("bench: {name} failed, {place}: {why}");
                findings.failed.insert(name, why);
            }
            Line::Pair(a, b, left, right) => findings.races.entry((a, b)).or_default().pairs.push((left, right)),
            Line::Calls(name, calls) => drop(findings.calls.insert(name, calls)),
        }
    }
    ensure!(host.wait()?.success(), "the races on the throwaway host failed, {place}");
    Ok(findings)
}

/// Builds the steps in release, as the workspace's profile has it, with more arguments for cargo or none.
fn build_steps(target: &Path, flags: &[(&str, &str)]) -> Result<()> {
    let mut cargo = Command::new(lab::cargo::program());
    cargo.args(["build", "--quiet", "--release", "--target-dir"]).arg(target).current_dir(workspace::root());
    for step in steps::all()? {
        cargo.args(["--package", &step.name]);
    }
    cargo.envs(flags.iter().copied());
    ensure!(cargo.status().context("starting cargo")?.success(), "the steps can't be built");
    Ok(())
}

/// Builds what the bench brings along: the floor in C and the same design in Go. Whoever can't be built is no longer there.
fn build_fixtures(room: &Path) -> Result<Vec<Missing>> {
    let sources = workspace::root().join("xtask/maintain/bench");
    let mut missing = Vec::new();
    let mut build = |name: &str, file: &str, mut command: Command| -> Result<()> {
        remove(&room.join(file))?;
        if lab::process::on_path(&command.get_program().to_string_lossy()).is_none() {
            // The list of peers says so.
            return Ok(());
        }
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let why = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
            missing.push(Missing { name: format!("{name}, the build"), cure: why });
        }
        Ok(())
    };
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-static", "-o"]).arg(room.join(FLOOR)).arg(sources.join("floor.c"));
    build("C floor", FLOOR, cc)?;
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(room.join(GO)).arg(".").current_dir(sources.join("go"));
    // It needs nothing but the standard library, and no C. No home, no network, no other toolchain.
    for (name, value) in [("CGO_ENABLED", "0"), ("GO111MODULE", "on"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")] {
        go.env(name, value);
    }
    go.env("GOCACHE", room.join("go-cache")).env("GOPATH", room.join("go-path")).env("GOFLAGS", "-buildvcs=false");
    build("Go program", GO, go)?;
    Ok(missing)
}

/// Builds the last step in the ways that the workspace can't ask for, because they need more than Rust and a C linker.
fn build_variants(room: &Path, step: &Step) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let rustc = || Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let libc = contenders::version("cc", &["-print-file-name=libc.a"]).filter(|path| Path::new(path).is_absolute());
    remove(&room.join(STATIC))?;
    if libc.is_some() {
        build_steps(&room.join("static"), &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
        fs::copy(room.join("static/release").join(&step.name), room.join(STATIC))?;
    } else {
        let cure = "a static C library is missing: `sudo apt install libc6-dev` or `sudo dnf install glibc-static`";
        missing.push(Missing { name: "step04, static".into(), cure: cure.into() });
    }

    remove(&room.join(MUSL))?;
    let musl = format!("{ARCH}-unknown-linux-musl");
    let output = rustc().args(["--print", "target-libdir", "--target", &musl]).output().context("starting rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        build_steps(&room.join("musl"), &[("CARGO_BUILD_TARGET", &musl)])?;
        fs::copy(room.join("musl").join(&musl).join("release").join(&step.name), room.join(MUSL))?;
    } else {
        missing.push(Missing { name: "step04, musl".into(), cure: format!("`rustup target add {musl}`") });
    }
    Ok(missing)
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// A cargo as a person at a shell starts it: the one on the PATH, without what ours told us.
fn cargo_as_typed() -> Command {
    let mut cargo = Command::new("cargo");
    lab::environment::leave_cargos(&mut cargo);
    cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What they set for all cargos is theirs. (CARGO_TARGET_DIR would be one folder for two projects, as for them.)
    for name in ["CARGO_HOME", "CARGO_TARGET_DIR"] {
        if let Some(value) = env::var_os(name) {
            cargo.env(name, value);
        }
    }
    cargo
}

/// Races the warm `cargo xtask run` with the least that any `cargo run` does.
fn warm(room: &Path, step: &Step, runs: usize) -> Result<Race> {
    let empty = room.join("empty");
    fs::create_dir_all(empty.join("src"))?;
    // A workspace of its own, though it lies in ours.
    fs::write(empty.join("Cargo.toml"), "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n")?;
    fs::write(empty.join("src/main.rs"), "fn main() {}\n")?;
    rootfs::ensure()?;
    let mut ours = cargo_as_typed();
    ours.args(["xtask", "run", step.short(), "--", "true"]).current_dir(workspace::root());
    let mut bare = cargo_as_typed();
    bare.args(["run", "--quiet"]).current_dir(&empty);
    track::pairs(&mut ours, &mut bare, runs).map_err(|(is_ours, why)| {
        anyhow::anyhow!("`cargo {}`: {why}", if is_ours { "xtask run" } else { "run` of an empty program" })
    })
}

/// What takes minutes, each once: so only the CPU's seconds mean something.
fn tasks(room: &Path, step: &Step) -> Result<Vec<Task>> {
    let clone = room.join("clone");
    if clone.exists() {
        fs::remove_dir_all(&clone)?;
    }
    let log = room.join("task.log");
    let mut tasks = Vec::new();
    let mut task = |name: &'static str, mut command: Command| -> Result<()> {
        eprintln!("bench: {name}");
        let file = File::create(&log).with_context(|| format!("opening {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        let (start, before) = (Instant::now(), childrens_cpu()?);
        ensure!(command.status()?.success(), "{name}: failed, and said why in {}", log.display());
        tasks.push(Task { name, cpu: childrens_cpu()? - before, wall: start.elapsed() });
        Ok(())
    };
    let mut git = Command::new("git");
    git.args(["clone", "--quiet"]).arg(workspace::root()).arg(&clone);
    ensure!(git.status().context("starting git")?.success(), "the workspace can't be cloned");
    let here = |args: &[&str], folder: &Path| {
        let mut cargo = cargo_as_typed();
        cargo.args(args).current_dir(folder).env_remove("CARGO_TARGET_DIR");
        cargo
    };
    task("first container in a new clone", here(&["xtask", "run", step.short(), "--", "true"], &clone))?;
    task("`cargo xtask test`, in that clone, the first time", here(&["xtask", "test"], &clone))?;
    task("`cargo xtask test`, again", here(&["xtask", "test"], &clone))?;
    task("`cargo xtask book`, the first time", here(&["xtask", "book"], &clone))?;
    task("`cargo xtask book`, again", here(&["xtask", "book"], &clone))?;
    fs::remove_dir_all(&clone)?;
    Ok(tasks)
}

/// What those that we waited for, and those that they waited for, have used.
fn childrens_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage(RUSAGE_CHILDREN)")?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.try_into()?))
}

/// How many processes wanted to run, in the mean of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// What a rootfs is made of, without the path that it may have come from: it tells whose `/bin/true` that is.
fn kind_of(rootfs: &Path) -> String {
    if let Ok(release) = fs::read_to_string(rootfs.join("etc/alpine-release")) {
        return format!("Alpine {}", release.trim());
    }
    let known = [Source::Busybox, Source::Host].map(|source| source.to_string());
    rootfs::stamp(rootfs).filter(|stamp| known.contains(stamp)).unwrap_or_else(|| "one of their own".into())
}

/// What the figures depend on, and nothing that tells whose machine it is.
fn machine() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.split([':', '=']).next().is_some_and(|it| it.trim() == name))?;
        let (_, value) = line.split_once([':', '='])?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    let cpu = read("/proc/cpuinfo");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_virtual = value(&cpu, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let model = value(&cpu, "model name").unwrap_or_else(|| ARCH.to_owned());
    let first = |program: &str, args: &[&str]| contenders::version(OsStr::new(program), args);
    let unknown = || "unknown".to_owned();
    vec![
        ("date", first("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(unknown)),
        ("machine", format!("{model}, {cores} CPUs{}", if is_virtual { ", virtual" } else { "" })),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("system", value(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_else(unknown)),
        ("C library", first("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(unknown)),
        ("Rust", first("rustc", &["--version"]).unwrap_or_else(unknown)),
        ("commit", first("git", &["describe", "--always", "--dirty", "--exclude=*"]).unwrap_or_else(unknown)),
    ]
}
