//! The directories of the host that are its own: what is written there goes with the host, and shows as a change.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nix::dir::{Dir, Type};
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::*;

/// A directory that is covered by an overlay, whose upper layer is in memory; or by a copy, where the kernel has no overlays.
#[derive(Debug)]
pub struct Place {
    point: PathBuf,
    /// The directory as it was before.
    lower: File,
    /// What was written since, or the copy.
    upper: File,
    /// When a copy was made, as a time of stat(2).
    copied: Option<(i64, i64)>,
}

impl Place {
    /// Covers the directory `point`. What is mounted below it is not seen any more.
    pub fn cover(point: &Path, in_user_namespace: bool) -> Result<Place> {
        let holder = holder_for(point)?;
        let lower = File::open(point).with_context(|| format!("open({point:?})"))?;
        mount_tmpfs(holder, MsFlags::empty())?;
        let covered = Place::mount_overlay(point, holder, in_user_namespace);
        umount2(holder, MntFlags::MNT_DETACH).with_context(|| format!("umount2({holder:?}, MNT_DETACH)"))?;
        Ok(Place { point: point.to_owned(), lower, upper: covered?, copied: None })
    }

    /// Covers the directory `point` by a copy.
    fn copy(point: &Path) -> Result<Place> {
        let holder = holder_for(point)?;
        let lower = File::open(point).with_context(|| format!("open({point:?})"))?;
        mount_tmpfs(holder, MsFlags::empty())?;
        let copied = Command::new("cp").arg("-a").arg(point.join(".")).arg(holder).status().context("starting cp")?;
        let bound = mount(Some(holder), point, None::<&str>, MsFlags::MS_BIND, None::<&str>);
        umount2(holder, MntFlags::MNT_DETACH).with_context(|| format!("umount2({holder:?}, MNT_DETACH)"))?;
        bound.with_context(|| format!("mount({holder:?}, {point:?}, NULL, MS_BIND)"))?;
        ensure!(copied.success(), "cp -a {} failed", point.display());
        let (upper, last) = (File::open(point).context("open")?, point.join(".copied"));
        fs::write(&last, "").context("write")?;
        let last = fs::metadata(&last).context("stat")?;
        Ok(Place { point: point.to_owned(), lower, upper, copied: Some((last.ctime(), last.ctime_nsec())) })
    }

    fn mount_overlay(point: &Path, holder: &Path, in_user_namespace: bool) -> Result<File> {
        let (upper, work) = (holder.join("upper"), holder.join("work"));
        fs::create_dir(&upper).and_then(|()| fs::create_dir(&work)).context("mkdir")?;
        // The overlay's top directory is the upper layer's: /tmp is everybody's.
        let mode = fs::metadata(point).context("stat")?.permissions();
        fs::set_permissions(&upper, mode).context("chmod")?;
        let mut options = OsString::from("lowerdir=");
        options.push(escaped(point));
        options.push(",upperdir=");
        options.push(&upper);
        options.push(",workdir=");
        options.push(&work);
        if in_user_namespace {
            options.push(",userxattr");
        }
        mount(Some("overlay"), point, Some("overlay"), MsFlags::empty(), Some(options.as_os_str()))
            .with_context(|| format!("mount(\"overlay\", {point:?}, \"overlay\", 0, {options:?})"))?;
        File::open(&upper).context("open(upper)")
    }

    /// Returns the paths that were written, made or removed. A directory counts only if it is new.
    pub fn written(&self) -> BTreeSet<PathBuf> {
        let mut written = BTreeSet::new();
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            let path = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            let Ok(mut entries) = Dir::openat(&self.upper, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            else {
                continue;
            };
            for entry in entries.iter().filter_map(Result::ok) {
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let path = directory.join(name);
                let is_directory = entry.file_type() == Some(Type::Directory);
                if if is_directory { !self.was_directory(&path) } else { self.is_new(&path) } {
                    written.insert(self.point.join(&path));
                }
                if is_directory {
                    directories.push(path);
                }
            }
        }
        written
    }

    /// True for all files in an upper layer, and those of a copy that have changed since.
    fn is_new(&self, path: &Path) -> bool {
        let Some(copied) = self.copied else { return true };
        let file = fstatat(&self.upper, path, AtFlags::AT_SYMLINK_NOFOLLOW);
        file.is_ok_and(|it| (it.st_ctime, it.st_ctime_nsec) > copied)
    }

    fn was_directory(&self, path: &Path) -> bool {
        let file = fstatat(&self.lower, path, AtFlags::AT_SYMLINK_NOFOLLOW);
        file.is_ok_and(|it| SFlag::from_bits_truncate(it.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
    }
}

/// Returns a directory for the layers that isn't the covered one. It is used only for a moment.
fn holder_for(point: &Path) -> Result<&'static Path> {
    let mut holders = ["/dev/shm", "/mnt", "/tmp"].map(Path::new).into_iter();
    holders.find(|it| it.is_dir() && !point.starts_with(it)).context("no place for layers")
}

/// Returns a path for the options of an overlay, in which a comma, a colon and a backslash have a meaning.
fn escaped(path: &Path) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if b",:\\".contains(&byte) {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    OsStr::from_bytes(&bytes).to_owned()
}

/// Covers `directory`, in which the program starts, and the directories that are everybody's. So each check starts from what is
/// on the machine, whatever programs do.
pub fn cover(directory: &Path, mounts: &[Mount], in_user_namespace: bool) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    // An overlay doesn't show what is mounted below.
    let is_simple = |it: &&Path| {
        it.is_dir() && !it.is_symlink() && !mounts.iter().any(|mount| mount.point != *it && mount.point.starts_with(it))
    };
    for shared in ["/tmp", "/var/tmp"].map(Path::new).into_iter().filter(is_simple) {
        // Without an overlay, they are the machine's, as on `cargo xtask host`.
        places.extend(Place::cover(shared, in_user_namespace));
    }
    if Path::new("/dev/shm").is_dir() {
        mount_tmpfs(Path::new("/dev/shm"), MsFlags::empty())?;
    }
    if !places.iter().any(|it: &Place| directory.starts_with(&it.point)) {
        // The kernel stacks two overlays, and the upper one may be the program's.
        let is_overlay = statfs(directory).context("statfs")?.filesystem_type() == OVERLAYFS_SUPER_MAGIC;
        let covered = if is_overlay { None } else { Place::cover(directory, in_user_namespace).ok() };
        places.push(covered.map_or_else(|| Place::copy(directory), Ok)?);
    }
    Ok(places)
}
