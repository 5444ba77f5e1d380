//! The machine in the book's pages: a Linux in the emulator v86, behind the terminal blocks. `book/live/machine.sh` builds it into
//! `target/live/`, and a book that is built afterwards contains it.

#[cfg(target_os = "linux")]
pub mod check;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::html::escape;
use crate::workspace::{Workspace, walk};

/// Everything of the machine, except what the build makes.
const SOURCES: &str = "book/live";
/// The script and the style of every page of a book with the machine.
pub const SCRIPT: &str = "theme/live.js";
/// See [`SCRIPT`].
pub const STYLE: &str = "theme/live.css";
/// The transcripts that the machine answers differently, each with the reason.
const DIFFERENCES: &str = "book/live/differences.txt";
/// What the machine is made of. If one of these changes, it is built again.
const INPUTS: [&str; 4] = ["book/live", "xtask/lab/src", "xtask/lab/examples", "Cargo.lock"];
/// The files below `book/live` that don't change the machine.
const NOT_INPUTS: [&str; 5] = ["differences.txt", "mine.sh", "panel.mjs", "transcripts.mjs", "worker.mjs"];
/// The file that holds the hash of the inputs, and the source of the rootfs.
const STAMP: &str = "stamp";
/// The state of the machine that waits for a command.
const STATE: &str = "machine.zst";
/// What the first press of Run loads, in addition to the scripts of the page.
const LOADED: [&str; 5] = [STATE, "v86.wasm.z", "libv86.mjs", "xterm.mjs", "xterm.css"];
/// What the pages don't load: Node has its own copy of the emulator.
const NOT_PUBLISHED: [&str; 3] = [STAMP, "v86.wasm", "differences.txt"];

/// Where the machine is built.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/live/machine")
}

/// Builds the machine if it is missing or its inputs have changed. `source` is that of its rootfs, as in `machine.sh`.
///
/// # Errors
/// When something is missing on this machine, which the script has explained.
pub fn build(workspace: &Workspace, source: Option<&str>) -> Result<()> {
    let (to, inputs) = (directory(workspace), format!("{}\n{}\n", hash(workspace)?, source.unwrap_or_default()));
    if stamp(workspace).is_some_and(|old| old == inputs) {
        eprintln!("book: {} is up to date", to.display());
        return Ok(());
    }
    eprintln!("book: building the machine in the pages; it boots once, which takes one to four minutes");
    let new = to.with_file_name("new");
    let _ = fs::remove_dir_all(&new);
    let script = workspace.root.join(SOURCES).join("machine.sh");
    let status = Command::new("bash").arg(script).arg(&new).args(source).status().context("starting bash")?;
    ensure!(status.success(), "the machine in the pages can't be built here");
    fs::write(new.join(STAMP), inputs)?;
    let _ = fs::remove_dir_all(&to);
    fs::rename(&new, &to).with_context(|| format!("moving the machine to {}", to.display()))
}

/// Returns what the machine that is there was made of, if there is one.
pub(crate) fn stamp(workspace: &Workspace) -> Option<String> {
    fs::read_to_string(directory(workspace).join(STAMP)).ok()
}

/// Returns a hash of the files that the machine is made of.
fn hash(workspace: &Workspace) -> Result<String> {
    let steps = fs::read_dir(&workspace.root)?.flatten().map(|entry| entry.path());
    let steps = steps.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"step")));
    let steps = steps.flat_map(|path| [path.join("src"), path.join("examples")]);
    let mut files = Vec::new();
    for input in INPUTS.iter().map(|input| workspace.root.join(input)).chain(steps) {
        match input.is_dir() {
            true => walk(&input, &|path| path.ends_with("node_modules"), &mut files)?,
            false if input.is_file() => files.push(input),
            false => {}
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files.iter().filter(|file| !NOT_INPUTS.iter().any(|name| file.ends_with(name))) {
        workspace.name(file).hash(&mut hasher);
        fs::read(file).with_context(|| file.display().to_string())?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// A machine that the pages can start.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What the first press of Run loads, in bytes.
    size: u64,
    /// The snapshots that the machine answers differently, with the reasons.
    differences: Vec<(String, String)>,
}

impl Machine {
    /// Returns the machine of a workspace, if it has been built from the files as they are.
    pub(crate) fn of(workspace: &Workspace) -> Result<Option<Machine>> {
        let directory = directory(workspace);
        let sizes: std::io::Result<Vec<u64>> =
            LOADED.iter().map(|name| Ok(directory.join(name).metadata()?.len())).collect();
        let Ok(sizes) = sizes else { return Ok(None) };
        if !fs::read_to_string(directory.join(STAMP))?.starts_with(&hash(workspace)?) {
            eprintln!(
                "book: without the machine in {}, which is out of date: `cargo xtask book live`",
                directory.display()
            );
            return Ok(None);
        }
        Ok(Some(Machine { size: sizes.iter().sum(), differences: differences(workspace)? }))
    }

    /// Returns the attribute of the block that shows a snapshot, so that the page's script gives it a button, and the note below
    /// it. Both are empty if its commands aren't for the throwaway host.
    pub(crate) fn runs(&self, snapshot: &str) -> (String, String) {
        if !is_for_the_host(snapshot) {
            return (String::new(), String::new());
        }
        let reason = self.differences.iter().find(|(name, _)| name == snapshot).map(|(_, reason)| reason);
        let note = reason.map(|reason| format!("<p class=\"run-note\">With Run: {}</p>", escape(reason)));
        (" data-run".to_owned(), note.unwrap_or_default())
    }
}

/// True if a snapshot is of commands on the throwaway host, and not in the repository. Those of the OCI runtime need it and podman.
fn is_for_the_host(snapshot: &str) -> bool {
    snapshot.starts_with("step") && !snapshot.contains("/oci__") || snapshot.starts_with("xtask/maintain/tests/steps/")
}

/// Reads the list of the transcripts that the machine answers differently. Each line is `SNAPSHOT: REASON`.
pub fn differences(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    // A machine without an Alpine has more.
    let more = fs::read_to_string(directory(workspace).join("differences.txt")).unwrap_or_default();
    let text = workspace.read(DIFFERENCES)? + &more;
    let difference = |line: &str| {
        let (name, reason) = line.split_once(": ").with_context(|| format!("{DIFFERENCES}: no reason in {line:?}"))?;
        ensure!(workspace.root.join(name).is_file(), "{DIFFERENCES}: there is no snapshot {name}");
        Ok((name.to_owned(), reason.to_owned()))
    };
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(difference).collect()
}

/// Copies the machine and the scripts that use it into a built book.
pub(crate) fn publish(workspace: &Workspace, machine: &Machine, book: &Path) -> Result<()> {
    let to = book.join("live");
    fs::create_dir_all(&to)?;
    // The scripts last: those of the workspace may be newer.
    for from in [directory(workspace), workspace.root.join(SOURCES).join("page")] {
        let mut files = Vec::new();
        walk(&from, &|_| false, &mut files)?;
        for file in files.iter().filter(|file| !NOT_PUBLISHED.iter().any(|name| file.ends_with(name))) {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(file, to.join(name)).with_context(|| format!("copying {}", file.display()))?;
        }
    }
    let state = to.join(STATE).metadata()?.len();
    let sizes = format!(
        "// In bytes: the state, and everything that the first press of Run loads.\nexport const STATE = {state};\n\
        export const ALL = {};\n",
        machine.size
    );
    fs::write(to.join("sizes.mjs"), sizes).context("sizes.mjs")
}

/// `{{#without-machine}}`: a note in a book that was built without the machine.
pub(crate) fn render_missing(workspace: &Workspace) -> String {
    let note = "> This copy of the book was built without the machine, so its terminal blocks have no **Run** button.\n\
        > `cargo xtask book live` adds it.";
    if workspace.machine.is_some() { String::new() } else { note.to_owned() }
}

/// `{{#machine}}`: what the machine of this book is made of, and which blocks it answers differently.
pub(crate) fn render(workspace: &Workspace) -> Result<String> {
    let Some(machine) = &workspace.machine else { return Ok(String::new()) };
    let manifest = fs::read_to_string(directory(workspace).join("manifest.tsv")).context("the machine's manifest")?;
    let mut text = "| part | version | licence | source |\n|---|---|---|---|\n".to_owned();
    for line in manifest.lines() {
        let [part, version, licence, source] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("manifest: {line:?}")
        };
        text += &format!("| {part} | {version} | {licence} | <{source}> |\n");
    }
    text += &format!("\nThe first press of **Run** loads {:.1} MB.\n", machine.size as f64 / 1e6);
    Ok(text)
}
