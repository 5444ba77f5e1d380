//! The files and directories of cgroups, by open directories: a program may hide their paths.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, read, unlinkat, write};

pub const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);
pub const DIRECTORY_MODE: Mode = Mode::from_bits_truncate(0o755);

/// The deepest cgroup below ours that is read or removed. The kernel allows any depth.
pub const MOST_LEVELS: usize = 64;

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub fn open_directory(parent: impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
}

pub fn write_to(directory: impl AsFd, name: &str, text: &str) -> nix::Result<()> {
    let file = openat(directory, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(file, text.as_bytes()).map(drop)
}

pub fn read_from(directory: impl AsFd, path: &Path) -> nix::Result<String> {
    let file = openat(directory, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = [0; 512];
    let length = read(file, &mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

pub fn directories(directory: impl AsFd) -> nix::Result<Vec<String>> {
    let mut directory = Dir::openat(directory, ".", DIRECTORY, Mode::empty())?;
    let entries = directory.iter().filter_map(Result::ok).filter(|entry| entry.file_type() == Some(Type::Directory));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "." && name != "..").collect())
}

pub fn find_below(directory: impl AsFd, path: &Path, levels: usize, found: &mut Vec<PathBuf>) {
    let directory = directory.as_fd();
    for name in directories(directory).unwrap_or_default() {
        let path = path.join(&name);
        if levels > 0
            && let Ok(inner) = open_directory(directory, &name)
        {
            find_below(inner, &path, levels - 1, found);
        }
        found.push(path);
    }
}

/// Removes a cgroup, and all below.
pub fn remove(parent: impl AsFd, name: &str, levels: usize) -> nix::Result<()> {
    let parent = parent.as_fd();
    let directory = open_directory(parent, name)?;
    for inner in directories(&directory)? {
        if levels > 0 {
            remove(&directory, &inner, levels - 1)?;
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}
