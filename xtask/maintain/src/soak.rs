//! `cargo xtask soak`: runs step 4 thousands of times, one after the other and many at once, and signals every step at random
//! moments. Afterwards there must be exactly what there was before.
//!
//! ```text
//! xtask soak               counts on the real machine, before and after
//! └─ xtask host            a throwaway host: root's own, and one in a user namespace
//!    └─ maintain soak-host on it: counts, runs, counts again
//!       └─ stepNN run …    release builds, thousands of them
//! ```

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lab::machine::Machine;
use lab::privilege::Privilege;
use lab::{cargo, rootfs, steps};
use nix::unistd::geteuid;

use crate::cli::on_host;
use counts::Counts;

/// Prints a line. Unlike println, it doesn't panic when the reader has gone: `cargo xtask soak | head`.
macro_rules! say {
    ($($what:tt)*) => {
        let _ = writeln!(io::stdout(), $($what)*);
    };
}

mod counts;
mod signals;

pub use signals::wait;

/// How long a run may take on a machine so busy that hundreds wait for its processors.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the kernel may take to clean up after a run: it frees a PID namespace 30 to 80 ms after the last process.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Run the steps thousands of times, signal them at random moments, and check that nothing leaked
#[derive(Args, Debug)]
pub struct Options {
    /// Use smaller numbers, for CI
    #[arg(long)]
    short: bool,
    /// Runs one after the other, and as many again in parallel [default: 10000; short: 300]
    #[arg(long, value_name = "N")]
    runs: Option<u32>,
    /// How many run in parallel
    #[arg(long, value_name = "N", default_value_t = 64)]
    parallel: u32,
    /// Signals of each kind to each process of each step [default: 550; short: 5]
    #[arg(long, value_name = "N")]
    moments: Option<u32>,
    /// The seed that another soak printed, to repeat its random moments
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Make the throwaway hosts in a user namespace (user), or as root (root) [default: both if you are root]
    #[arg(long, value_name = "HOW", value_parser = host_privilege())]
    privilege: Option<Privilege>,
}

fn host_privilege() -> impl TypedValueParser<Value = Privilege> {
    let privilege = |name: String| if name == "root" { Privilege::Root } else { Privilege::User };
    PossibleValuesParser::new(["user", "root"]).map(privilege)
}

/// The options of the part of the soak that runs on a throwaway host.
#[derive(Args, Debug)]
pub struct HostOptions {
    #[arg(value_parser = host_privilege())]
    privilege: Privilege,
    runs: u32,
    parallel: u32,
    moments: u32,
    seed: u64,
    /// The directory of the steps' programs.
    programs: PathBuf,
}

/// Runs the load on throwaway hosts, and prints the rates and the counts.
///
/// Returns success only if every run had the right exit status and nothing leaked.
///
/// # Errors
/// When the steps can't be built, or this machine can't make a throwaway host.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (runs, moments) = if options.short { (300, 5) } else { (10_000, 550) };
    let (runs, moments) = (options.runs.unwrap_or(runs), options.moments.unwrap_or(moments));
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let privileges = match options.privilege {
        Some(privilege) => vec![privilege],
        None if geteuid().is_root() => vec![Privilege::Root, Privilege::User],
        None => vec![Privilege::User],
    };
    let programs = release_programs()?;
    // The steps make no files. A command that makes temporary ones makes them here.
    let temporary = cargo::target_directory()?.join("soak");
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary).with_context(|| format!("creating {}", temporary.display()))?;
    let temporary_variable = format!("TMPDIR={}", temporary.display());

    say!("soak: --seed {seed}");
    let (machine, before) = (Machine::observe()?, Counts::of_machine(&temporary)?);
    let start = Instant::now();
    let mut passed = true;
    for privilege in privileges {
        say!("\nsoak: on a throwaway host, as {}", privilege.name());
        // A background job ignores INT, and its children inherit that.
        let env = ["env", "--default-signal", &temporary_variable].map(OsStr::new);
        let mut load = on_host(privilege, &env, "soak-host")?;
        load.arg(privilege.name()).args([runs, options.parallel, moments].map(|number| number.to_string()));
        load.arg(seed.to_string()).arg(&programs).current_dir(rootfs::test_directory()?).stdin(Stdio::null());
        let mut load = load.spawn().context("starting the throwaway host")?;
        // Far longer than it should take: each step gets five signals to three processes at each moment.
        let number = 2 * runs + 15 * moments * steps::all()?.len() as u32;
        let limit = Duration::from_secs(120) + Duration::from_millis(100) * number;
        match signals::wait(&mut load, limit, || ())? {
            Some(status) => passed &= status.success(),
            None => {
                say!("  FAULT still not done after {} s", limit.as_secs());
                passed = false;
            }
        }
    }
    say!("\nsoak: what this checkout has on this machine, after {:.0} s", start.elapsed().as_secs_f64());
    passed &= before.compare_with_now(|| Counts::of_machine(&temporary))?;
    let unchanged = Machine::observe()? == machine;
    say!("  {:<28} {}", "its name and mounts", if unchanged { "as before" } else { "CHANGED" });
    let _ = fs::remove_dir_all(&temporary);
    if passed && unchanged {
        say!("soak: nothing leaked");
        return Ok(ExitCode::SUCCESS);
    }
    say!("soak: FAILED, see above; --seed {seed} repeats the same moments");
    Ok(ExitCode::FAILURE)
}

/// Builds the steps as `run --release` does, and returns the directory of their programs.
///
/// # Errors
/// When cargo can't build them.
pub fn release_programs() -> Result<PathBuf> {
    let mut args = vec!["build".to_owned()];
    args.extend(steps::all()?.into_iter().flat_map(|step| ["--package".to_owned(), step.name]));
    args.extend(cargo::release_args());
    let programs = cargo::build(None, &args)?.context("the steps can't be built")?;
    let program = programs.into_values().next().context("there are no steps")?;
    Ok(program.parent().context("a program is in a directory")?.to_owned())
}

/// On the throwaway host: runs the load between two counts.
///
/// # Errors
/// When /proc can't be read.
pub fn run_on_host(options: &HostOptions) -> Result<ExitCode> {
    let (temporary, is_user) = (env::temp_dir(), options.privilege == Privilege::User);
    let count = || Counts::of_host(&temporary, is_user);
    let before = counts::stable(count)?;
    let mut passed = true;
    for (what, parallel) in [("one after the other", 1), ("in parallel", options.parallel.max(1))] {
        let start = Instant::now();
        let faults = many(&options.programs, is_user, options.runs, parallel)?;
        let (runs, seconds) = (options.runs, start.elapsed().as_secs_f64());
        say!("  {what:<20} {runs:>6} runs in {seconds:>6.1} s, {:>5.0} a second", f64::from(runs) / seconds);
        passed &= print_some(&faults);
    }
    passed &= signals::all(&options.programs, options.moments, options.seed)?;
    passed &= before.compare_with_now(count)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the first faults. Returns true if there is none.
fn print_some(faults: &[String]) -> bool {
    for fault in faults.iter().take(5) {
        say!("    FAULT {fault}");
    }
    if faults.len() > 5 {
        say!("    and {} more", faults.len() - 5);
    }
    faults.is_empty()
}

/// Runs the last step `runs` times, `parallel` at a time. Every other run ends with status 7. Returns the faults.
fn many(programs: &Path, is_user: bool, runs: u32, parallel: u32) -> Result<Vec<String>> {
    let program = programs.join(steps::all()?.pop().context("there are no steps")?.name);
    let faults = Mutex::new(Vec::new());
    let one = |number: u32| {
        let status = if number.is_multiple_of(2) { 0 } else { 7 };
        let mut command = Command::new("unshare");
        // Each in a user namespace, as `cargo xtask run` does for an ordinary user.
        command.args(["--user", "--map-root-user"]).arg(&program);
        if !is_user {
            command = Command::new(&program);
        }
        // A file, because a process that was left behind would hold a pipe open, and we would wait for it.
        let log = env::temp_dir().join(format!("stderr-{number}"));
        command.args(["run", "sh", "-c", &format!("exit {status}")]).stdin(Stdio::null());
        let end = File::create(&log).and_then(|file| command.stderr(file).status());
        let stderr = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        let fault = match end {
            Err(error) => format!("run {number}: {error}"),
            Ok(end) if end.code() == Some(status) && stderr.is_empty() => return,
            Ok(end) => format!("run {number}: {end}, not {status}: {}", stderr.trim()),
        };
        faults.lock().expect("no thread panics").push(fault);
    };
    thread::scope(|scope| {
        for first in 0..parallel {
            let one = &one;
            scope.spawn(move || (first..runs).step_by(parallel as usize).for_each(one));
        }
    });
    Ok(faults.into_inner().expect("no thread panics"))
}
