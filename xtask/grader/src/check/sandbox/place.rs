//! The directory in which the program starts: a copy or an overlay, which disappears with the host. So each check starts from
//! the same rootfs, whatever programs do, and anything written there shows.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, lchown, symlink};

use super::*;

/// The most that is copied into memory: entries, and bytes. A larger directory is covered by an overlay.
const MOST_ENTRIES: usize = 5_000;
const MOST_BYTES: u64 = 64 << 20;

/// A directory that is covered.
#[derive(Debug)]
pub struct Place {
    point: PathBuf,
    /// Its files when it was covered, each with a stamp that every change alters.
    before: Vec<(PathBuf, Stamp)>,
}

/// The inode, size and time of the last change of a file. An overlay gives a file another inode when it is changed.
type Stamp = (u64, u64, i64, i64);

impl Place {
    /// Covers the directory `point` by a copy in memory, or by an overlay if it is too large.
    pub fn cover(point: &Path, in_user_namespace: bool) -> Result<Place> {
        // A directory to hold the layers for a moment, outside the covered one.
        let mut holders = ["/dev/shm", "/mnt", "/tmp"].map(Path::new).into_iter();
        let holder = holders.find(|it| it.is_dir() && !point.starts_with(it)).context("no place for a copy")?;
        mount_tmpfs(holder, MsFlags::empty())?;
        let covered = match copy(point, holder, MOST_ENTRIES, MOST_BYTES) {
            Ok(true) => bind(holder, point),
            // Before Linux 5.11 a user namespace can't mount an overlay, so everything is copied.
            _ => mount_overlay(point, holder, in_user_namespace).or_else(|_| {
                copy(point, holder, usize::MAX, u64::MAX)?;
                bind(holder, point)
            }),
        };
        umount2(holder, MntFlags::MNT_DETACH).with_context(|| format!("umount2({holder:?}, MNT_DETACH)"))?;
        covered?;
        Ok(Place { point: point.to_owned(), before: stamps(point) })
    }

    /// Returns the paths that were written, made or removed since. A directory counts only if it is new or gone.
    pub fn written(&self) -> Vec<PathBuf> {
        let now = stamps(&self.point);
        // Nearly always, and comparing in order is much quicker than making maps.
        if now == self.before {
            return Vec::new();
        }
        let (before, now): (HashMap<_, _>, HashMap<_, _>) =
            (self.before.iter().cloned().collect(), now.into_iter().collect());
        let changed = now.iter().filter(|(path, stamp)| before.get(*path) != Some(stamp)).map(|(path, _)| path);
        let gone = before.keys().filter(|path| !now.contains_key(*path));
        let mut all: Vec<PathBuf> = changed.chain(gone).cloned().collect();
        all.sort();
        all
    }
}

/// Returns everything below a directory, in the directories' own order. They all have the same stamp, because a new file in one
/// changes it.
fn stamps(top: &Path) -> Vec<(PathBuf, Stamp)> {
    let mut stamps = Vec::new();
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(file) = entry.metadata() else { continue };
            let path = entry.path();
            let mut stamp = (file.ino(), file.len(), file.ctime(), file.ctime_nsec());
            if file.is_dir() {
                stamp = Stamp::default();
                directories.push(path.clone());
            }
            stamps.push((path, stamp));
        }
    }
    stamps
}

/// Copies directories, links and regular files, and gives up with `false` if there are too many.
fn copy(from: &Path, to: &Path, mut entries: usize, mut bytes: u64) -> Result<bool> {
    // The first name of each file that has several.
    let mut names: HashMap<u64, PathBuf> = HashMap::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(from.join(&directory)).with_context(|| format!("reading {directory:?}"))? {
            let entry = entry?;
            let (name, file) = (directory.join(entry.file_name()), entry.metadata()?);
            let (source, copy) = (from.join(&name), to.join(&name));
            let left = (entries.checked_sub(1), bytes.checked_sub(if file.is_file() { file.len() } else { 0 }));
            let (Some(fewer), Some(less)) = left else { return Ok(false) };
            (entries, bytes) = (fewer, less);
            if file.is_dir() {
                fs::create_dir(&copy)?;
            } else if file.is_symlink() {
                symlink(fs::read_link(&source)?, &copy)?;
            } else if !file.is_file() {
                continue;
            } else if let Some(first) = names.get(&file.ino()) {
                fs::hard_link(first, &copy)?;
                continue;
            } else {
                fs::copy(&source, &copy)?;
                File::open(&copy)?.set_modified(file.modified()?)?;
                names.insert(file.ino(), copy.clone());
            }
            lchown(&copy, Some(file.uid()), Some(file.gid()))
                // In a user namespace only its own users exist.
                .or_else(
                    |error| if error.raw_os_error() == Some(Errno::EINVAL as i32) { Ok(()) } else { Err(error) },
                )?;
            if file.is_dir() {
                fs::set_permissions(&copy, file.permissions())?;
                directories.push(name);
            }
        }
    }
    Ok(true)
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("mount({from:?}, {to:?}, NULL, MS_BIND, NULL)"))
}

fn mount_overlay(point: &Path, holder: &Path, in_user_namespace: bool) -> Result<()> {
    let (upper, work) = (holder.join(".upper"), holder.join(".work"));
    fs::create_dir(&upper).and_then(|()| fs::create_dir(&work)).context("mkdir")?;
    let mut options = OsString::from("lowerdir=");
    options.push(escaped(point));
    for (name, path) in [(",upperdir=", &upper), (",workdir=", &work)] {
        options.push(name);
        options.push(path);
    }
    if in_user_namespace {
        options.push(",userxattr");
    }
    mount(Some("overlay"), point, Some("overlay"), MsFlags::empty(), Some(options.as_os_str()))
        .with_context(|| format!("mount(\"overlay\", {point:?}, \"overlay\", 0, {options:?})"))
}

/// Returns a path for the options of an overlay, in which a comma, a colon and a backslash have a meaning.
fn escaped(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes().iter();
    let escaped: Vec<u8> =
        bytes.flat_map(|byte| b",:\\".contains(byte).then_some(b'\\').into_iter().chain([*byte])).collect();
    OsStr::from_bytes(&escaped).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copy_has_the_links_and_modes_and_a_large_directory_is_not_copied() {
        let top = env::temp_dir().join(format!("mini-docker-places-{}", std::process::id()));
        let (from, to) = (top.join("from"), top.join("to"));
        fs::create_dir_all(from.join("bin")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("bin/one"), "1234").unwrap();
        fs::set_permissions(from.join("bin/one"), Permissions::from_mode(0o751)).unwrap();
        fs::hard_link(from.join("bin/one"), from.join("bin/two")).unwrap();
        symlink("one", from.join("bin/link")).unwrap();
        assert!(copy(&from, &to, 4, 8).unwrap());
        let inode = |name: &str| fs::metadata(to.join(name)).unwrap().ino();
        assert_eq!(inode("bin/one"), inode("bin/two"));
        assert_eq!(fs::read_link(to.join("bin/link")).unwrap(), Path::new("one"));
        assert_eq!(fs::metadata(to.join("bin/one")).unwrap().mode() & 0o777, 0o751);
        fs::remove_dir_all(to.join("bin")).unwrap();
        assert!(!copy(&from, &to, 3, 8).unwrap());
        fs::remove_dir_all(to.join("bin")).unwrap();
        assert!(!copy(&from, &to, 4, 3).unwrap());
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn what_is_written_shows() {
        let top = env::temp_dir().join(format!("mini-docker-written-{}", std::process::id()));
        fs::create_dir_all(top.join("kept")).unwrap();
        for name in ["kept/old", "changed", "gone"] {
            fs::write(top.join(name), "x").unwrap();
        }
        let place = Place { point: top.clone(), before: stamps(&top) };
        assert_eq!(place.written(), [""; 0].map(PathBuf::from));
        fs::write(top.join("kept/new"), "").unwrap();
        fs::write(top.join("changed"), "longer").unwrap();
        fs::remove_file(top.join("gone")).unwrap();
        assert_eq!(place.written(), ["changed", "gone", "kept/new"].map(|name| top.join(name)));
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_path_is_escaped() {
        assert_eq!(escaped(Path::new(r"/a:b,c\d")), r"/a\:b\,c\\d");
    }
}
