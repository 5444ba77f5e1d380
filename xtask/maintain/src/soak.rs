//! `cargo xtask soak`: thousands of runs of step 4, one after the other and many at once, and signals to every step at random
//! moments. Afterwards there must be as much of everything as before.
//!
//! ```text
//! xtask soak             counts on the real machine, before and after
//! └─ xtask host          a throwaway host: root's own, and one in a user namespace
//!    └─ xtask --load     on it: counts, runs, counts again
//!       └─ stepNN run …  release builds, thousands of them
//! ```

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::privilege::Privilege;
use crate::{rootfs, steps};
use lab::machine::Machine;
use snapshot::Snapshot;

/// Prints a line. Unlike println, it doesn't panic when the reader has gone: `cargo xtask soak | head`.
macro_rules! say {
    ($($what:tt)*) => {
        let _ = writeln!(io::stdout(), $($what)*);
    };
}

mod signals;
mod snapshot;

/// The hidden first argument of the program that makes the load, on a throwaway host.
pub const LOAD: &str = "--load";

/// How long a run may take on a machine so busy that hundreds wait for its processors.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the kernel may take to clean up after a run: it frees a PID namespace 30 to 80 ms after the last process.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The options of `xtask soak`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of runs one after the other, and of runs in parallel.
    pub runs: u32,
    /// How many run in parallel.
    pub parallel: u32,
    /// How often each signal is sent to each process of each step.
    pub moments: u32,
    /// The seed of the random moments; `None` takes a new one each time.
    pub seed: Option<u64>,
    /// [`Privilege::Root`] or [`Privilege::User`]; `None` means both for root, and a user namespace for anyone else.
    pub privilege: Option<Privilege>,
}

impl Options {
    /// Returns the default `runs`, `parallel` and `moments`. The short ones are for CI.
    pub fn default_numbers(short: bool) -> (u32, u32, u32) {
        if short { (300, 64, 5) } else { (10_000, 64, 550) }
    }
}

/// Makes the load, and prints the rates and what was counted.
///
/// Returns success only if every run had the right exit status and nothing leaked.
///
/// # Errors
/// When the steps can't be built, or this machine can't make a throwaway host.
pub fn run(options: &Options) -> Result<ExitCode> {
    let programs = release_programs()?;
    // Not the file that this process executes, which a build may have replaced since: `cargo xtask ci` builds.
    let tools = lab::cargo::steps_and(&["xtask", "maintain"])?;
    let directory = rootfs::test_directory()?;
    // The steps make no files. Whoever makes temporary ones among what they start, makes them here.
    let temporary = lab::cargo::target_directory()?.join("soak");
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary).with_context(|| format!("making {}", temporary.display()))?;

    let seed = options.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 30
    });
    say!("soak: --seed {seed}");
    let ways = match options.privilege {
        Some(Privilege::Sudo) => bail!("soak: sudo would ask at each run; become root, or use a user namespace"),
        Some(way) => vec![way],
        None if geteuid().is_root() => vec![Privilege::Root, Privilege::User],
        None => vec![Privilege::User],
    };

    let (machine, before) = (Machine::observe()?, Snapshot::of_machine(&temporary)?);
    let start = Instant::now();
    let mut passed = true;
    for way in ways {
        let way = if way == Privilege::Root { "root" } else { "user" };
        say!("\nsoak: on a throwaway host, as {way}");
        let mut load = Command::new(&tools["xtask"]);
        load.args(["host", "--die-with-parent", "--privilege", way, "--"])
            // A background job ignores INT, and its children inherit that.
            .args(["env", "--default-signal"])
            .arg(format!("TMPDIR={}", temporary.display()))
            .arg(&tools["maintain"])
            .args([LOAD, way])
            .args([options.runs, options.parallel, options.moments].map(|number| number.to_string()))
            .arg(seed.to_string())
            .arg(&programs)
            .current_dir(&directory)
            .stdin(Stdio::null());
        passed &= wait(load.spawn().context("starting the throwaway host")?, options)?;
    }
    say!("\nsoak: on this machine, after {:.0} s", start.elapsed().as_secs_f64());
    let after = snapshot::settle(&before, || Snapshot::of_machine(&temporary))?;
    passed &= snapshot::compare(&before, &after);
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

/// Waits for the load, for far longer than it should take. Returns true if it found no fault.
fn wait(mut load: Child, options: &Options) -> Result<bool> {
    let signals = options.moments * signals::ROWS;
    let limit = Duration::from_secs(120) + Duration::from_millis(100) * (options.runs * 2 + signals);
    let start = Instant::now();
    loop {
        if let Some(status) = load.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > limit {
            say!("  FAULT still not done after {} s", limit.as_secs());
            load.kill()?;
            load.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Builds the steps as `run --release` does, and returns the directory of their programs.
fn release_programs() -> Result<PathBuf> {
    let mut args = vec!["build".to_owned()];
    args.extend(steps::all()?.into_iter().flat_map(|step| ["--package".to_owned(), step.name]));
    args.extend(lab::cargo::release_args());
    let programs = lab::cargo::build(None, &args)?.context("the steps can't be built")?;
    let program = programs.into_values().next().context("there are no steps")?;
    Ok(program.parent().context("a program is in a directory")?.to_owned())
}

/// On the throwaway host: the load, between two snapshots. The arguments are those that [`run`] gives.
///
/// # Errors
/// When the arguments are wrong, or /proc can't be read.
pub fn load(args: &[OsString]) -> Result<ExitCode> {
    let [way, runs, parallel, moments, seed, programs] = args else { bail!("{LOAD} is started by `soak`") };
    let number = |text: &OsStr| text.to_str().and_then(|text| text.parse::<u64>().ok()).context("a number");
    let (runs, parallel, moments) = (number(runs)?, number(parallel)?.max(1), number(moments)? as u32);
    let (is_user, programs) = (way == "user", Path::new(programs));
    let temporary = env::temp_dir();

    // Programs that made this host may still be ending.
    let before = snapshot::stable(|| Snapshot::of_host(&temporary, is_user))?;
    let mut passed = true;
    passed &= report("one after the other", runs, || many(programs, is_user, runs, 1))?;
    passed &= report(&format!("{parallel} at once"), runs, || many(programs, is_user, runs, parallel))?;
    passed &= signals::all(programs, moments, number(seed)?)?;
    let after = snapshot::settle(&before, || Snapshot::of_host(&temporary, is_user))?;
    passed &= snapshot::compare(&before, &after);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints how long a part of the load took. Returns true if it found no fault.
fn report(what: &str, runs: u64, part: impl FnOnce() -> Result<Vec<String>>) -> Result<bool> {
    let start = Instant::now();
    let faults = part()?;
    let seconds = start.elapsed().as_secs_f64();
    say!("  {what:<20} {runs:>6} runs in {seconds:>6.1} s, {:>5.0} a second", runs as f64 / seconds);
    print_some(&faults);
    Ok(faults.is_empty())
}

fn print_some(faults: &[String]) {
    for fault in faults.iter().take(5) {
        say!("    FAULT {fault}");
    }
    if faults.len() > 5 {
        say!("    and {} more", faults.len() - 5);
    }
}

/// Runs the last step `runs` times, `parallel` at a time. Every other run ends with status 7. Returns the faults.
fn many(programs: &Path, is_user: bool, runs: u64, parallel: u64) -> Result<Vec<String>> {
    let step = steps::all()?.pop().context("there are no steps")?;
    let faults = Mutex::new(Vec::new());
    let one = |number: u64| {
        let (script, status) = if number.is_multiple_of(2) { ("exit 0", 0) } else { ("exit 7", 7) };
        let program = programs.join(&step.name);
        let mut command = match is_user {
            // Each in a user namespace, as `cargo xtask run` does for an ordinary user.
            true => Command::new("unshare"),
            false => Command::new(&program),
        };
        if is_user {
            command.args(["--user", "--map-root-user"]).arg(&program);
        }
        command.args(["run", "sh", "-c", script]).stdin(Stdio::null());
        // A file, because a process that was left behind would hold a pipe open, and we would wait for it.
        let log = env::temp_dir().join(format!("stderr-{number}"));
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
