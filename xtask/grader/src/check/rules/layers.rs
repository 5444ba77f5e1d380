//! Exercise `layers`: an overlay of the rootfs and the two layers of an image. The names in the image are drawn for each check.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::procfs::Pid;
use nix::fcntl::OFlag;

use super::overlay::the_kernel_has_overlays;
use super::*;
use crate::check::directory::tree;

const FLAG: &str = "--image";
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// The paths in an image, and how they should look in the container.
struct Image {
    /// A file that the rootfs has, and that 2.tar deletes.
    in_rootfs: String,
    /// Files that must exist, each with its text and its layer.
    present: Vec<(String, String, u8)>,
    /// A file that both layers have, and the text that 2.tar gives it.
    replaced: (String, String),
    /// Files that whiteouts delete.
    deleted: Vec<String>,
    /// Files that an opaque directory hides.
    hidden: Vec<String>,
    /// The whiteouts themselves.
    whiteouts: Vec<String>,
    /// A file that the command must be able to create.
    written: String,
}

impl Image {
    /// Writes `1.tar` and `2.tar` into a directory, and a file into the rootfs.
    fn make(sandbox: &Sandbox, directory: &Path) -> Checked<Image> {
        let mut names = (0..).map(|number: u32| format!("{number}{}", sandbox.draw.word()));
        let mut name = || names.next().unwrap_or_default();
        let [merged, opaque, whole, inner] = [name(), name(), name(), name()];
        let [a, b, c, d, e, f] = [name(), name(), name(), name(), name(), name()];
        let (replaced, in_rootfs) = (name(), name());
        let text = || sandbox.draw.word();
        let first = [
            (a.clone(), text()),
            (replaced.clone(), text()),
            (b.clone(), text()),
            (format!("{merged}/{a}"), text()),
            (format!("{merged}/{b}"), text()),
            (format!("{opaque}/{c}"), text()),
            (format!("{opaque}/{inner}/{d}"), text()),
            (format!("{whole}/{inner}/{e}"), text()),
        ];
        let whiteouts = [
            format!("{WHITEOUT}{b}"),
            format!("{WHITEOUT}{whole}"),
            format!("{WHITEOUT}{in_rootfs}"),
            format!("{merged}/{WHITEOUT}{b}"),
            format!("{opaque}/{OPAQUE}"),
        ];
        let second = [
            (replaced.clone(), text()),
            (f.clone(), text()),
            (format!("{merged}/{c}"), text()),
            (format!("{opaque}/{e}"), text()),
            (format!("{opaque}/{inner}/{f}"), text()),
        ];
        pack(directory, 1, &first, &[])?;
        pack(directory, 2, &second, &whiteouts)?;
        let path = sandbox.directory.join("rootfs").join(&in_rootfs);
        fs::write(&path, "").with_context(|| format!("writing {}", path.display()))?;
        let kept = first.iter().filter(|(path, _)| [&a, &format!("{merged}/{a}")].contains(&path));
        let kept = kept.map(|(path, text)| (path.clone(), text.clone(), 1));
        let added = second[1..].iter().map(|(path, text)| (path.clone(), text.clone(), 2));
        Ok(Image {
            present: kept.chain(added).collect(),
            replaced: second[0].clone(),
            deleted: vec![b.clone(), format!("{whole}/{inner}/{e}"), in_rootfs.clone(), format!("{merged}/{b}")],
            hidden: vec![format!("{opaque}/{c}"), format!("{opaque}/{inner}/{d}")],
            whiteouts: whiteouts.to_vec(),
            written: sandbox.draw.word(),
            in_rootfs,
        })
    }
}

/// Packs files with a text, and empty ones, into a layer.
fn pack(directory: &Path, number: u8, files: &[(String, String)], empty: &[String]) -> Checked {
    let source = directory.join("source");
    let empty = empty.iter().map(|path| (path, ""));
    for (path, text) in files.iter().map(|(path, text)| (path, text.as_str())).chain(empty) {
        let path = source.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&source)).context("mkdir on the throwaway host")?;
        fs::write(&path, text).context("writing on the throwaway host")?;
    }
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(directory.join(format!("{number}.tar"))).arg("-C").arg(&source).arg(".");
    let output = tar.stdin(Stdio::null()).output();
    let output = output.map_err(|error| cannot_run(format!("tar(1): {error}"), "Install tar."))?;
    let said = shorten(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(cannot_run(format!("tar(1): {said}"), "Install GNU tar."));
    }
    Ok(fs::remove_dir_all(&source)?)
}

/// What was observed of the image.
#[derive(Default)]
struct Seen {
    /// The image's paths that exist, each with its text.
    files: Vec<(String, String)>,
    is_read_only: bool,
}

impl Seen {
    fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(it, _)| it == path).map(|(_, text)| text.as_str())
    }

    fn first<'a>(&self, paths: &'a [String]) -> Option<&'a String> {
        paths.iter().find(|path| self.text(path).is_some())
    }
}

/// What a run with an image shows, and what it leaves behind.
struct Outcome {
    evidence: Evidence,
    image: Image,
    seen: Seen,
    changed: Vec<(Diagnosis, String)>,
}

fn observe_image(sandbox: &Sandbox) -> Checked<Outcome> {
    the_kernel_has_overlays(sandbox)?;
    let scratch = sandbox.scratch()?;
    let directory = scratch.path.join(sandbox.draw.word());
    fs::create_dir(&directory).context("mkdir on the throwaway host")?;
    let image = Image::make(sandbox, &directory)?;
    let before = tree(&directory);
    let flags = [FLAG, &directory.to_string_lossy()];
    let invocation = Invocation { flags: &flags, ..Default::default() };
    let (evidence, seen) = observe_more(sandbox, &invocation, |command| {
        let pid = command.pid();
        let replaced = std::slice::from_ref(&image.replaced.0);
        let present: Vec<_> = image.present.iter().map(|(path, ..)| path.clone()).collect();
        let all = [&present, replaced, &image.deleted, &image.hidden, &image.whiteouts].into_iter().flatten();
        Ok(Seen {
            files: all.filter_map(|path| Some((path.clone(), read_inside(sandbox, pid, path)?))).collect(),
            is_read_only: sandbox.host.open_inside(pid, &image.written, OFlag::O_CREAT | OFlag::O_WRONLY).is_err(),
        })
    })?;
    let layers = layers(&evidence.command_with(FLAG)?.mounts);
    let mut changed = Vec::new();
    if let Some(path) = tree(&directory).symmetric_difference(&before).next() {
        changed.push((Diagnosis::ImageChanged, format!("the files in DIR changed during the run: {}", path.display())));
    }
    let rootfs = sandbox.directory.join("rootfs");
    if let Some(path) = evidence.changes.files.first() {
        let diagnosis = if path.starts_with(&rootfs) { Diagnosis::RootfsChanged } else { Diagnosis::LayersLeft };
        changed.push((diagnosis, format!("after the run, {} has changed", path.display())));
    }
    let left = layers.iter().map(|layer| sandbox.directory.join(layer));
    let has_ours = |layer: &PathBuf| image.present.iter().any(|(path, ..)| layer.join(path).exists());
    let left =
        left.filter(|layer| *layer != rootfs).find(|layer| has_ours(layer) || layer.join(&image.written).exists());
    changed.extend(left.map(|layer| (Diagnosis::LayersLeft, format!("{} is still on the host", layer.display()))));
    Ok(Outcome { evidence, image, seen, changed })
}

/// Returns the text of a file in the command's `/`.
fn read_inside(sandbox: &Sandbox, pid: Pid, path: &str) -> Option<String> {
    // A visible whiteout is a device that can't be opened.
    sandbox.host.open_inside(pid, path, OFlag::O_PATH | OFlag::O_NOFOLLOW).ok()?;
    let mut text = String::new();
    if let Ok(file) = sandbox.host.open_inside(pid, path, OFlag::O_RDONLY) {
        let _ = fs::File::from(file).take(1 << 10).read_to_string(&mut text);
    }
    Some(text)
}

/// Returns the paths of the layers of all overlays among these mounts.
fn layers(mounts: &[Mount]) -> Vec<PathBuf> {
    let options = mounts.iter().filter(|it| it.kind == "overlay").flat_map(|it| it.super_options.split(','));
    let lists = options.filter_map(|it| it.strip_prefix("upperdir=").or(it.strip_prefix("lowerdir=")));
    lists.flat_map(|it| it.split(':')).map(PathBuf::from).collect()
}

pub fn its_root_is_the_image(sandbox: &Sandbox) -> Checked {
    let Outcome { evidence, image, seen, .. } = observe_image(sandbox)?;
    let command = evidence.command()?;
    let pid = command.pid();
    let has_any = image.present.iter().any(|(path, ..)| seen.text(path).is_some());
    let expected = "the files of both layers";
    require!(has_any, NoLayers, expected, "/proc/{pid}/root contains no file of the image");
    let missing = image.present.iter().find(|(path, text, _)| seen.text(path) != Some(text));
    if let Some((path, _, layer)) = missing {
        let seen = format!("/proc/{pid}/root/{path} is missing, although {layer}.tar contains it");
        return Err(fail!(LayerMissing, expected, "{seen}"));
    }
    let (path, text) = &image.replaced;
    let found = seen.text(path);
    let seen_text = format!("1.tar and 2.tar contain {path}, and /proc/{pid}/root/{path} is not the file from 2.tar");
    require!(found == Some(text), LayersSwapped, "2.tar on top of 1.tar", "{seen_text}");
    let expected = "an overlay, with ./rootfs as the lowest layer";
    require!(command.is_overlay, NotAnOverlay, expected, "/proc/{pid}/root is not such an overlay");
    let expected = "a writable `/`";
    require!(!seen.is_read_only, RootfsReadOnly, expected, "creating a file in /proc/{pid}/root failed");
    Ok(())
}

pub fn what_a_layer_deletes_is_gone(sandbox: &Sandbox) -> Checked {
    let Outcome { evidence, image, seen, changed } = observe_image(sandbox)?;
    let pid = evidence.command()?.pid();
    if let Some(path) = seen.first(&image.whiteouts) {
        let seen = format!("/proc/{pid}/root/{path} exists");
        return Err(fail!(WhiteoutShown, "no whiteouts among the container's files", "{seen}"));
    }
    // A program that deletes the file in ./rootfs has understood the whiteout.
    let is_kept = !changed.iter().any(|(diagnosis, _)| *diagnosis == Diagnosis::RootfsChanged);
    if let Some(path) = seen.first(&image.deleted).filter(|_| is_kept) {
        let of = if *path == image.in_rootfs { "from ./rootfs" } else { "from 1.tar" };
        let seen = format!("2.tar deletes {path} {of}, but /proc/{pid}/root/{path} exists");
        return Err(fail!(WhiteoutIgnored, "no deleted files in the container", "{seen}"));
    }
    if let Some(path) = seen.first(&image.hidden) {
        let seen = format!("2.tar has {OPAQUE} in a directory above {path}, but /proc/{pid}/root/{path} exists");
        return Err(fail!(OpaqueIgnored, "nothing from 1.tar in or below that directory", "{seen}"));
    }
    Ok(())
}

pub fn nothing_of_the_image_stays(sandbox: &Sandbox) -> Checked {
    let Outcome { evidence, changed, .. } = observe_image(sandbox)?;
    super::proc::no_mount_is_left(&evidence)?;
    let Some((diagnosis, seen)) = changed.into_iter().next() else { return Ok(()) };
    Err(failure(diagnosis, seen, "no changes and no layers left after the run"))
}
