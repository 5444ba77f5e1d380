//! Exercise `overlay`: what one run writes is gone before the next.

use std::ffi::OsStr;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::*;
use crate::check::probe::nonce;

pub fn what_it_writes_is_gone(sandbox: &Sandbox) -> Checked {
    the_kernel_has_overlays(sandbox)?;
    let name = format!(".{}-wrote", nonce());
    let file = sandbox.directory.join("rootfs").join(&name);
    let write = format!("echo x >/{name} && echo written");
    let first = run(sandbox, &write)?;
    let is_unchanged = fs::remove_file(&file).is_err();
    let seen = format!("the command wrote /{name}, and afterwards there is a rootfs/{name}");
    require!(is_unchanged, RootfsChanged, "a rootfs as it was", "{seen}");
    require!(first.answer == Some("written"), RootfsReadOnly, "written", "`{write}`: {}", first.how);
    let second = run(sandbox, &format!("if [ -e /{name} ]; then echo found; else echo nothing; fi"))?;
    let found = second.answer == Some("found");
    require!(!found, RootfsChanged, "nothing of it", "the command wrote /{name}, and the next run found it");
    let is_like_the_first = second.answer == Some("nothing");
    require!(is_like_the_first, NeverRan, "a second run like the first", "the second run: {}", second.how);
    let left =
        upper_layers(&first.mounts).map(|upper| sandbox.directory.join(upper).join(&name)).find(|it| it.exists());
    let Some(left) = left else { return Ok(()) };
    let _ = fs::remove_file(&left);
    let seen = format!("the command wrote /{name}, and afterwards that is on the host: {}", left.display());
    Err(fail!(UpperLeft, "nothing of it", "{seen}"))
}

struct Outcome {
    answer: Option<&'static str>,
    /// How it ended, for a report.
    how: String,
    /// What the command saw mounted.
    mounts: Vec<Mount>,
}

/// Runs a script, which waits, so that its mounts can be read.
fn run(sandbox: &Sandbox, script: &str) -> Checked<Outcome> {
    // A program may write more than the command does.
    let answer = |run: &Run<'_>| {
        let text = run.stdout();
        ["written", "nothing", "found"].into_iter().find(|word| text.lines().any(|line| line == *word))
    };
    let command = ["sh", "-c", &format!("{script}; read word")];
    let mut run = sandbox.start(&Invocation::default(), &command)?;
    let mut mounts = Vec::new();
    run.wait_until(PATIENCE, |run| {
        // Not before it has written, because a shell has its words before its root is another.
        let guests = if answer(run).is_some() { sandbox.guests()? } else { Vec::new() };
        let table = guests.iter().find(|it| it.has_line(&command)).map(|it| sandbox.host.read(it.pid, "mountinfo"));
        mounts = table.and_then(Result::ok).map(|it| mountinfo::parse(&it)).unwrap_or_default();
        Ok(!mounts.is_empty() || run.status().is_some())
    })?;
    run.end_input();
    let status = describe(run.wait()?);
    let how = format!("it ended with {status}, and wrote to stderr {}", shorten(&run.stderr()));
    Ok(Outcome { answer: answer(&run), how, mounts })
}

/// Returns the upper layers of the overlays among these mounts, by the paths that they were mounted with.
fn upper_layers(mounts: &[Mount]) -> impl Iterator<Item = &Path> {
    let overlays = mounts.iter().filter(|mount| mount.kind == "overlay");
    overlays.flat_map(|it| it.super_options.split(',')).filter_map(|it| it.strip_prefix("upperdir=")).map(Path::new)
}

/// Tries to mount one.
pub fn the_kernel_has_overlays(sandbox: &Sandbox) -> Checked {
    let scratch = sandbox.scratch()?;
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| scratch.path.join(name));
    for directory in [&lower, &upper, &work, &merged] {
        fs::create_dir(directory).context("mkdir on the throwaway host")?;
    }
    let layers = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let try_it =
        |data: &str| mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(OsStr::new(data)));
    let cure = "In a user namespace it takes Linux 5.11: use root, or a newer kernel.";
    let result = try_it(&format!("{layers},userxattr")).or_else(|_| try_it(&layers));
    result.map_err(|errno| cannot_run(format!("the kernel refuses an overlay: {errno}"), cure))
}
