//! The second disk: a tar archive with everything that runs in the machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use exercises::{Kind, package};
use lab::rootfs::Source;
use lab::{cargo, workspace};

use crate::dist::{self, NAME, succeed};

/// Builds everything, and returns the archive. What is in it for the exercises is `solutions/ID`.
///
/// # Errors
/// If something can't be built.
pub fn make(short: bool) -> Result<PathBuf> {
    let work = cargo::target_directory()?.join("machines");
    fs::create_dir_all(&work)?;
    dist::run(&dist::Options {
        source: Some(Source::Busybox),
        without_book: true,
        to: Some(work.clone()),
        with_maintain: !short,
    })?;
    let top = work.with_file_name("dist").join(NAME);
    let solutions = top.join("solutions");
    fs::create_dir_all(&solutions)?;
    make_solutions(&work.join("solutions"), &solutions)?;
    if !short {
        runtime(&top)?;
    }
    let archive = work.join("payload.tar");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--mode=a+rX,u+w,go-w", "-cf"]).arg(&archive);
    succeed(tar.arg("-C").args([top.parent().unwrap_or(&top), Path::new(NAME)]))?;
    Ok(archive)
}

/// Builds the solution of every exercise: one static program with a name for each, and the attacks, which are programs of their own.
fn make_solutions(work: &Path, to: &Path) -> Result<()> {
    let root = workspace::root();
    let (containers, attacks): (Vec<_>, Vec<_>) =
        exercises::all(root)?.into_iter().partition(|it| it.kind == Kind::Container);
    let sources = containers.iter().map(|it| Ok((it.id.clone(), it.solution(root)?))).collect::<Result<Vec<_>>>()?;
    let manifest = fs::read_to_string(root.join("xtask/grader/workshop.toml")).context("xtask/grader/workshop.toml")?;
    package::write(work, &manifest.replace("\"mine\"", "\"solutions\""), "allow", &sources)?;
    fs::copy(root.join("Cargo.lock"), work.join("Cargo.lock"))?;
    let mut flags = Vec::new();
    let triple = dist::static_triple(&mut flags);
    let mut build = Command::new(cargo::program());
    build.args(["build", "--quiet", "--target", &triple, "--target-dir", "target"]).current_dir(work);
    succeed(build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;
    fs::copy(work.join("target").join(&triple).join("debug/solutions"), to.join("all"))
        .context("copying the solutions")?;
    for it in &containers {
        // A link to the program, not a symbolic one: it asks /proc/self/exe for its name.
        fs::hard_link(to.join("all"), to.join(&it.id)).with_context(|| format!("link({:?})", it.id))?;
    }
    for it in &attacks {
        let source = work.join(format!("{}.rs", it.id));
        fs::write(&source, it.solution(root)?)?;
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--cap-lints", "allow", "--target", &triple]).args(&flags);
        succeed(rustc.arg("-o").arg(to.join(&it.id)).arg(&source))?;
    }
    Ok(())
}

/// Builds the OCI runtime, and copies what the finale reads.
fn runtime(top: &Path) -> Result<()> {
    let mut args = vec!["build", "--package", "step04-proc", "--example", "oci"];
    let target = cargo::static_target();
    args.extend(target.iter().flat_map(|it| ["--target", it.as_str()]));
    let program = cargo::build_program(None, &args, "oci")?.context("the runtime can't be built")?;
    fs::copy(program, top.join("bin/oci")).context("copying the runtime")?;
    let example = "step04-proc/examples/oci";
    fs::create_dir_all(top.join(example))?;
    for name in ["pod.yaml", "containerd.toml"] {
        let file = Path::new(example).join(name);
        fs::copy(workspace::root().join(&file), top.join(&file)).with_context(|| format!("copying {name}"))?;
    }
    symlink("oci", top.join("bin/mini-docker-oci")).context("linking the runtime")
}
