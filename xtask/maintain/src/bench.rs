//! `cargo xtask bench`: measures what a container of the last step costs, compared with other programs that make the same one.
//!
//! Each figure compares two programs: a run of ours and a run of a peer take turns, and the result is the median of the ratios,
//! pair by pair. So it stays valid on a busy machine and on another one, where milliseconds would not. The races run on throwaway
//! hosts, whose namespaces cost every contender the same. They begin only after an observation from outside has confirmed that
//! each contender makes the container that it is timed for.
//!
//! ```text
//! xtask bench                 builds the contenders; as root, and in a user namespace:
//! └─ xtask host               a throwaway host
//!    └─ maintain bench-host   on it: observes, races, and prints the measurements as JSON
//! ```

mod chart;
mod contenders;
mod page;
mod races;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use lab::privilege::Privilege;
use lab::probe::probe;
use lab::rootfs::{self, Source};
use lab::{cargo, choice, output, process, workspace};
use nix::unistd::geteuid;

use self::contenders::{FLOOR, GO};
use self::races::Measurements;
use crate::cli::on_host;
use crate::soak::release_programs;

pub use self::races::{HostOptions, run as run_on_host};

/// Measure what a container costs, compared with unshare, bwrap, crun, runc, podman, and the same in Go and C
#[derive(Args, Debug)]
pub struct Options {
    /// Runs per pair
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only check that every contender runs, with 5 runs per pair; the figures mean little
    #[arg(long, conflicts_with = "runs")]
    short: bool,
    /// Write charts and tables into the book, as book/text/measured.md
    #[arg(long, conflicts_with = "short")]
    write: bool,
    /// The source of the rootfs: alpine, busybox, host, a tarball or a directory [default: the first that is available]
    #[arg(long, value_name = "SOURCE", value_parser = OsStringValueParser::new().map(Source::from))]
    source: Option<Source>,
}

/// Builds, races, and prints the tables.
///
/// # Errors
/// If something that is built here doesn't run. The tables list a peer that fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let runs = if options.short { 5 } else { options.runs };
    let directory = cargo::target_directory()?.join("bench");
    fs::create_dir_all(&directory)?;
    let load_before = load();

    let programs = release_programs()?;
    let runtime = ["build", "--package", "step04-proc", "--example", "oci"].map(str::to_owned);
    cargo::build(None, &[&runtime[..], &cargo::release_args()].concat())?.context("the runtime can't be built")?;
    build_fixtures(&directory)?;
    let rootfs = directory.join("rootfs");
    rootfs::make(&rootfs, &rootfs::Options { source: options.source.clone(), ..Default::default() })?;
    if directory.join(FLOOR).exists() {
        fs::copy(directory.join(FLOOR), rootfs.join("nothing")).context("copying a program into the bench's rootfs")?;
    }
    contenders::write_bundles(&directory)?;
    let contenders = contenders::all(&directory, &programs)?;
    let absent = contenders.iter().filter(|it| !it.program.is_file());
    let mut missing: Vec<String> = absent.map(|it| format!("{}: {}", it.name, it.cure)).collect();

    let mut places = Vec::new();
    for (privilege, place) in [(Privilege::Root, "as root"), (Privilege::User, "in a user namespace")] {
        let refusal = match privilege == Privilege::Root && !geteuid().is_root() {
            true => Some("you are not root".to_owned()),
            false => probe(privilege)?.map(|it| format!("{:#}", choice::explain(privilege, it, &[privilege]))),
        };
        if let Some(refusal) = refusal {
            missing.push(format!("everything {place}: {refusal}"));
            continue;
        }
        eprintln!("bench: {runs} runs per pair, {place}");
        let mut host = on_host(privilege, &[], "bench-host")?;
        host.args([&directory, &programs]).arg(runs.to_string()).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = host.output().context("starting a throwaway host")?;
        ensure!(output.status.success(), "the races {place} failed");
        let measurements: Measurements = serde_json::from_slice(&output.stdout).context("reading the measurements")?;
        missing.extend(measurements.failures.iter().map(|(name, why)| format!("{name}, {place}: it failed: {why}")));
        places.push((place, measurements));
    }
    for line in &missing {
        eprintln!("bench: left out: {line}");
    }
    ensure!(!places.is_empty(), "this machine has no throwaway host for the races");
    let machine = [
        ("pairs of runs in each race", runs.to_string()),
        ("load before and after", format!("{load_before}, {}", load())),
        ("rootfs", kind_of(&rootfs)),
        ("target of `--release`", cargo::static_target().unwrap_or_else(|| "the host's".into())),
    ];
    let machine = machine.map(|(name, value)| [name.to_owned(), value]).to_vec();
    output::write(&page::render(machine.clone(), &places, &missing, false))?;
    if options.write {
        let path = workspace::root().join("book/text/measured.md");
        fs::write(&path, page::render(machine, &places, &missing, true))
            .with_context(|| format!("writing {}", path.display()))?;
        eprintln!("bench: wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Describes a rootfs without the path of its source, which could reveal whose machine this is.
fn kind_of(rootfs: &Path) -> String {
    match fs::read_to_string(rootfs.join("etc/alpine-release")) {
        Ok(release) => format!("Alpine {}", release.trim()),
        Err(_) => rootfs::stamp(rootfs).filter(|stamp| !stamp.starts_with('/')).unwrap_or_default(),
    }
}

/// Returns the load average of the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Builds the floor in C, and the program of the same design in Go. One that can't be built is removed, so that the races leave
/// it out.
fn build_fixtures(directory: &Path) -> Result<()> {
    let sources = workspace::root().join("xtask/maintain/bench");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-static", "-o"]).arg(directory.join(FLOOR)).arg(sources.join("floor.c"));
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(directory.join(GO)).current_dir(sources.join("go"));
    // It needs only the standard library: no C, no home directory, no network and no other toolchain.
    go.envs([("CGO_ENABLED", "0"), ("GO111MODULE", "on"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")]);
    go.env("GOCACHE", directory.join("go-cache"))
        .env("GOPATH", directory.join("go-path"))
        .env("GOFLAGS", "-buildvcs=false");
    for (file, mut build) in [(FLOOR, cc), (GO, go)] {
        if fs::exists(directory.join(file))? {
            fs::remove_file(directory.join(file))?;
        }
        if process::on_path(&build.get_program().to_string_lossy()).is_some() {
            build.stdin(Stdio::null()).status()?;
        }
    }
    Ok(())
}
