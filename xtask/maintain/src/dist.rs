//! `cargo xtask dist`: an archive for people without Rust and without a network. It is unpacked anywhere, may be read-only and shared,
//! and finds its files at run time.
//!
//! ```text
//! mini-docker/
//!   mini-docker          a link to bin/mini-docker, the front door
//!   bin/                 the front door, the grader and the steps, linked statically
//!   step01-uts/ …        the sources of the steps
//!   xtask/exercises/     the exercises and diagnoses, which the grader reads
//!   rootfs/              what the containers run in
//!   book/                the book as web pages
//! ```

use std::env::consts::ARCH;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use anyhow::{Context, Result, ensure};
use lab::rootfs::{self, Source};
use lab::{cargo, steps, workspace};

/// Make an archive for people without Rust: mini-docker-ARCH.tar.gz
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Make its rootfs from alpine (downloaded, verified and kept), busybox or host (this machine's programs), or from the tarball
    /// or directory of that path [default: the first of alpine, busybox and host that works]
    #[arg(long)]
    pub source: Option<Source>,
    /// Leave the book out
    #[arg(long)]
    pub without_book: bool,
    /// Write the archive into this directory [default: target/dist]
    #[arg(long, value_name = "DIRECTORY")]
    pub to: Option<PathBuf>,
    /// Put the maintainers' tools into it as well.
    #[arg(skip)]
    pub with_maintain: bool,
}

/// The directory in the archive.
pub const NAME: &str = "mini-docker";

/// Builds everything, packs it, and prints the path and the sizes.
pub fn run(options: &Options) -> Result<ExitCode> {
    let work = cargo::target_directory()?.join("dist");
    let top = work.join(NAME);
    if top.exists() {
        fs::remove_dir_all(&top).with_context(|| format!("removing {}", top.display()))?;
    }
    fs::create_dir_all(top.join("bin"))?;
    build(&work.join("build"), &top, options.with_maintain.then_some("maintain"))?;
    data(&top)?;
    make_rootfs(options, &work, &top)?;
    if !options.without_book {
        book(&top)?;
    }
    let archive = options.to.as_ref().unwrap_or(&work).join(format!("{NAME}-{ARCH}.tar.gz"));
    // Everyone may read everything, whatever the modes of the rootfs are.
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=a+rX,u+w,go-w"]);
    succeed(tar.args(["--use-compress-program=gzip -9", "-cf"]).arg(&archive).arg("-C").arg(&work).arg(NAME))?;
    for part in ["bin", "rootfs", "book", "xtask"] {
        println!("{:>8.1} MiB  {part}/", size(&top.join(part)).unwrap_or_default() as f64 / f64::from(1 << 20));
    }
    println!("{:>8.1} MiB  {}", size(&archive)? as f64 / f64::from(1 << 20), archive.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the front door, the grader, the steps and perhaps another program, linked statically.
fn build(target: &Path, top: &Path, other: Option<&str>) -> Result<()> {
    let root = workspace::root().display().to_string();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    // No path of this machine is left in the programs, not even in their messages about errors of ours.
    let mut flags = vec![format!("--remap-path-prefix={root}={NAME}")];
    flags.extend(home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    let mut command = Command::new(cargo::program());
    command.args("build --release --package=lab --package=xtask --package=grader --features=lab/archive".split(' '));
    command.args(steps::all()?.iter().map(|step| format!("--package={}", step.name)));
    command.args(other.map(|name| format!("--package={name}")));
    let triple = static_triple(&mut flags);
    command.arg("--target").arg(&triple).arg("--target-dir").arg(target).current_dir(&root);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    command.env("CARGO_PROFILE_RELEASE_STRIP", "true").env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    succeed(&mut command)?;
    let built = target.join(triple).join("release");
    let steps = steps::all()?.into_iter().map(|step| step.name);
    for from in ["xtask", "grader"].into_iter().chain(other).map(str::to_owned).chain(steps) {
        let to = if from == "xtask" { NAME } else { &from };
        fs::copy(built.join(&from), top.join("bin").join(to)).with_context(|| format!("copying {from}"))?;
    }
    symlink(Path::new("bin").join(NAME), top.join(NAME)).context("linking the front door")?;
    Ok(())
}

/// Returns the target for a static program, and adds the flags that it needs.
pub fn static_triple(flags: &mut Vec<String>) -> String {
    cargo::static_target().unwrap_or_else(|| {
        eprintln!("dist: the target {ARCH}-unknown-linux-musl isn't installed, so the programs are linked with glibc, which is larger");
        // It is in the C library's development package.
        flags.extend(["-Ctarget-feature=+crt-static".to_owned(), "-lgcc_eh".to_owned()]);
        format!("{ARCH}-unknown-linux-gnu")
    })
}

/// Copies what the programs read: the sources of the steps, the exercises and the diagnoses.
fn data(top: &Path) -> Result<()> {
    for step in steps::all()? {
        copy(&format!("{}/src/main.rs", step.name), top)?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT", exercises::DIAGNOSES] {
        copy(file, top)?;
    }
    for exercise in exercises::all(workspace::root())? {
        let directory = format!("{}/{}", exercises::EXERCISES, exercise.id);
        for entry in fs::read_dir(workspace::root().join(&directory)).context(directory.clone())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // The programs that test the grader would be answers.
            if !["programs", "mutants.diff"].contains(&name.as_str()) {
                copy(&format!("{directory}/{name}"), top)?;
            }
        }
    }
    Ok(())
}

/// Copies a file of the repository to the same place in the archive.
fn copy(file: &str, top: &Path) -> Result<()> {
    let to = top.join(file);
    let copied = fs::create_dir_all(to.parent().unwrap_or(top))
        .and_then(|()| fs::copy(workspace::root().join(file), &to))
        .and_then(|_| fs::set_permissions(&to, Permissions::from_mode(0o644)));
    copied.with_context(|| format!("copying {file}"))
}

fn make_rootfs(options: &Options, work: &Path, top: &Path) -> Result<()> {
    let rootfs = top.join("rootfs");
    rootfs::make(&rootfs, &rootfs::Options { source: options.source.clone(), ..Default::default() })?;
    fs::remove_file(top.join(".rootfs.lock"))?;
    // The stamp names a path of this machine if the source is one.
    if let Some(Source::Path(path)) = &options.source {
        let name = path.file_name().unwrap_or(work.as_os_str()).display().to_string();
        fs::write(rootfs.join("etc/mini-docker"), name + "\n").context("stamping the rootfs")?;
    }
    Ok(())
}

fn book(top: &Path) -> Result<()> {
    let program = cargo::build_program(None, &["build", "--package", "book"], "book")?
        .context("the book's builder isn't built")?;
    succeed(&mut Command::new(program))?;
    let built = workspace::root().join("target/book");
    succeed(Command::new("cp").arg("-r").arg(built).arg(top.join("book")))
}

/// Runs a command, which must succeed. Its messages go to stderr.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    let status = status.with_context(|| format!("starting {}", command.get_program().display()))?;
    ensure!(status.success(), "{} failed: {status}", command.get_program().display());
    Ok(())
}

/// Returns the size of a file, or of all files below a directory.
fn size(path: &Path) -> io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}
