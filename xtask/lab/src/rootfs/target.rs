//! Writes a new root file system: nothing outside of its directory, and no more than the limits allow.
//!
//! Names and links may come from anyone's tarball. Every name is looked up as by a process that has the directory as its root, so
//! links and absolute names can't lead elsewhere. No other user or process works in the directory at the same time.

use std::cmp::Reverse;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

// The limits are far above what any distribution's rootfs needs, and low enough that a decompression bomb does no damage.
/// The most files, directories, links and so on.
const MOST_ENTRIES: u64 = 200_000;
/// The most bytes of all files together, and of a tarball when it is decompressed.
const MOST_BYTES: u64 = 2 << 30;
/// How much of the disk must stay free, in bytes.
const SPARE: u64 = 64 << 20;
/// The longest path in a rootfs, in bytes. With the path of the rootfs before it, it must fit into PATH_MAX, which is 4096.
const LONGEST_PATH: usize = 2048;
/// As many as the kernel follows, path_resolution(7).
const MOST_LINKS: u32 = 40;
/// What to do with a rootfs that is too large.
const CURE: &str = "if you trust it, unpack it into ./rootfs yourself";

/// A directory that is being filled.
#[derive(Debug)]
pub struct Target<'a> {
    /// The directory.
    pub root: &'a Path,
    most_entries: u64,
    entries: u64,
    bytes: u64,
    free: u64,
    modes: Vec<(PathBuf, u32)>,
}

impl<'a> Target<'a> {
    /// Starts to fill the empty directory `root`.
    pub fn new(root: &'a Path) -> Result<Target<'a>> {
        let disk = statvfs(root).with_context(|| format!("statvfs({})", root.display()))?;
        // On 32-bit machines both are u32.
        #[allow(clippy::useless_conversion)]
        let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size());
        let free = free.saturating_sub(SPARE);
        Ok(Target { root, most_entries: MOST_ENTRIES, entries: 0, bytes: 0, free, modes: Vec::new() })
    }

    /// Counts bytes before they are written.
    pub fn spend(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        ensure!(self.bytes <= MOST_BYTES, "it is larger than {} MiB: {CURE}", MOST_BYTES >> 20);
        ensure!(self.bytes <= self.free, "it would leave less than {} MiB of the disk free", SPARE >> 20);
        Ok(())
    }

    /// Refuses a path that is too long, and too many files and directories.
    pub fn check_name(&self, name: &Path, entries: u64) -> Result<()> {
        ensure!(name.as_os_str().len() <= LONGEST_PATH, "it has a path of more than {LONGEST_PATH} bytes");
        let most = self.most_entries;
        ensure!(entries <= most, "it has more than {most} files and directories: {CURE}");
        Ok(())
    }

    /// Creates a directory, or notes the mode of one that exists. It gets its mode in [`Target::finish`], because it may not
    /// be writable then.
    pub fn directory(&mut self, name: &Path, mode: u32) -> Result<()> {
        // The top directory's mode is ours.
        if name.file_name().is_some() {
            let path = self.place(name)?;
            if !path.is_dir() {
                fs::create_dir(&path)?;
            }
            // Its owner must be able to look into it.
            self.modes.push((path, mode & 0o1777 | 0o500));
        }
        Ok(())
    }

    /// Creates a file without set-user-ID and set-group-ID bits, which in a copy made by root would give root's rights to
    /// every user of this machine.
    pub fn file(&mut self, name: &Path, mode: u32, modified: SystemTime, content: &mut impl Read) -> Result<()> {
        let mut file = File::create_new(self.place(name)?)?;
        io::copy(content, &mut file)?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))?;
        Ok(file.set_modified(modified)?)
    }

    /// Creates a symbolic link, wherever it leads to.
    pub fn symlink(&mut self, name: &Path, to: &Path) -> Result<()> {
        Ok(symlink(to, self.place(name)?)?)
    }

    /// Gives a file in the rootfs a second name.
    pub fn hard_link(&mut self, name: &Path, to: &Path) -> Result<()> {
        let (path, file) = (self.place(name)?, self.locate(to)?);
        Ok(fs::hard_link(file, path)?)
    }

    /// Gives the directories their modes.
    pub fn finish(mut self) -> Result<()> {
        // The inner ones first; of several modes of one directory, the last one stays.
        self.modes.sort_by_key(|(path, _)| Reverse(path.as_os_str().len()));
        self.modes.iter().try_for_each(|(path, mode)| {
            let result = fs::set_permissions(path, Permissions::from_mode(*mode));
            result.with_context(|| format!("changing the mode of {path:?}"))
        })
    }

    /// Prepares a new name: creates its directory, and removes what has the name, unless that is a directory.
    fn place(&mut self, name: &Path) -> Result<PathBuf> {
        let path = self.locate(name)?;
        // Directories may have no entries of their own.
        self.entries += 1 + path.ancestors().skip(1).take_while(|it| !it.exists()).count() as u64;
        self.check_name(path.strip_prefix(self.root)?, self.entries)?;
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_dir() => fs::remove_file(&path)?,
            _ => fs::create_dir_all(path.parent().unwrap_or(self.root))?,
        }
        Ok(path)
    }

    /// Returns where a name leads to, without following a link at its end.
    fn locate(&self, name: &Path) -> Result<PathBuf> {
        let climbs = name.components().any(|it| it == Component::ParentDir);
        match (name.parent(), name.file_name()) {
            (Some(parent), Some(last)) if !climbs => Ok(resolve(self.root, parent)?.join(last)),
            _ => bail!("it has a name that leads out of it: {name:?}"),
        }
    }
}

/// Adds the name to the error of a system call.
pub fn named(error: anyhow::Error, name: &Path) -> anyhow::Error {
    if error.is::<io::Error>() { error.context(format!("writing {name:?}")) } else { error }
}

/// Resolves a path as for a process whose root directory is `root`, and returns it without links. Parts that don't exist stay as
/// they are.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let parts = |path: &Path| path.components().rev().map(|it| it.as_os_str().to_owned()).collect::<Vec<_>>();
    let (mut rest, mut found, mut links) = (parts(path), root.to_owned(), 0);
    while let Some(part) = rest.pop() {
        match part.as_encoded_bytes() {
            b"/" => found = root.to_owned(),
            b".." if found == root => {}
            b".." => drop(found.pop()),
            b"." => {}
            _ => {
                found.push(part);
                match fs::read_link(&found) {
                    Ok(_) if links == MOST_LINKS => return Err(Errno::ELOOP.into()),
                    Ok(to) => {
                        links += 1;
                        rest.extend(parts(&to));
                        found.pop();
                    }
                    // It is missing, or it is not a link.
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_counted_also_those_without_an_entry() {
        let root = std::env::temp_dir().join(format!("mini-docker-limits-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let mut target = Target { most_entries: 10, ..Target::new(&root).unwrap() };
        target.symlink(Path::new("a/b/c/link"), Path::new("x")).unwrap();
        target.directory(Path::new("a/b"), 0o755).unwrap();
        for _ in 0..4 {
            target.symlink(Path::new("a/link"), Path::new("x")).unwrap();
        }
        let error = target.symlink(Path::new("d/link"), Path::new("x")).unwrap_err();
        assert!(error.to_string().starts_with("it has more than 10 files and directories"), "{error}");
        assert!(!root.join("d").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_path_means_what_it_means_inside() {
        let root = std::env::temp_dir().join(format!("mini-docker-resolve-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        let links = [
            ("bin", "usr/bin"),
            ("up", "../../../usr"),
            ("top", "/"),
            ("usr/bin/sh", "/bin/busybox"),
            ("a", "b"),
            ("b", "a"),
        ];
        for (name, to) in links {
            let _ = symlink(to, root.join(name));
        }
        for (path, found) in [
            ("bin/sh", Ok("usr/bin/busybox")),
            ("/bin/sh", Ok("usr/bin/busybox")),
            ("up/bin", Ok("usr/bin")),
            ("top/../etc/passwd", Ok("etc/passwd")),
            ("usr/bin/../../..", Ok("")),
            ("", Ok("")),
            ("a/x", Err(Errno::ELOOP as i32)),
        ] {
            let actual = resolve(&root, Path::new(path)).map_err(|error| error.raw_os_error().unwrap());
            assert_eq!(actual, found.map(|it| root.join(it)), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
