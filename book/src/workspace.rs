//! The workspace: the files that a book is made from. A test can build a small one in a temporary directory.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use exercises::Exercise;

use crate::live::Machine;
use crate::repository;

/// A workspace with a book in it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The top directory. The paths in directives are relative to it.
    pub root: PathBuf,
    /// The repository's address on GitHub, if it has one.
    pub repository: Option<String>,
    /// The machine that the pages can start, if it has been built.
    pub machine: Option<Machine>,
    /// The exercises, once they have been read.
    pub(crate) exercises: OnceCell<Vec<Exercise>>,
}

impl Workspace {
    /// Returns the workspace below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Workspace {
        let root = root.into();
        Workspace { repository: repository::address(&root), root, machine: None, exercises: OnceCell::new() }
    }

    /// Returns the exercises. They are read once, because many directives need them; a build works on a clone.
    pub(crate) fn exercises(&self) -> Result<&[Exercise]> {
        if self.exercises.get().is_none() {
            let _ = self.exercises.set(exercises::all(&self.root)?);
        }
        Ok(self.exercises.get().map_or(&[], |all| all))
    }

    /// Reads a file that a directive names. It must be inside the workspace, so that the book is the same on every machine. Git
    /// may have written it with CRLF.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(!name.is_empty() && is_inside, "`{name}` is not a path inside the workspace");
        match fs::read_to_string(self.root.join(name)) {
            Ok(text) => Ok(text.replace("\r\n", "\n")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("there is no file {name}"),
            Err(error) => Err(error).context(name.to_owned()),
        }
    }

    /// Returns a path below the root as problems and addresses spell it, with `/` between its parts.
    pub(crate) fn name(&self, path: &Path) -> String {
        slashes(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// Returns all files of the workspace, except those that git, cargo, `cargo xtask` and learners make.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let is_generated = |directory: &Path| {
            let name = self.name(directory);
            let last = name.rsplit('/').next().unwrap_or_default();
            ["target", "rootfs", "workshop"].contains(&name.as_str())
                || last == "node_modules"
                || last.starts_with('.')
                || directory.join("CACHEDIR.TAG").exists()
        };
        let mut files = Vec::new();
        walk(&self.root, &is_generated, &mut files)?;
        files.sort();
        Ok(files)
    }

    /// Returns the name, size and time of every file.
    pub(crate) fn fingerprint(&self) -> io::Result<Vec<(PathBuf, u64, Option<SystemTime>)>> {
        let files = self.files()?.into_iter();
        // A file that has just been removed is missing the next time.
        Ok(files.filter_map(|file| fs::metadata(&file).ok().map(|it| (file, it.len(), it.modified().ok()))).collect())
    }
}

/// Appends all files below `directory`, except those in a directory that is to be skipped.
pub(crate) fn walk(directory: &Path, skip: &dyn Fn(&Path) -> bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_file() => files.push(path),
            Ok(data) if data.is_dir() && !skip(&path) => walk(&path, skip, files)?,
            Ok(_) => {}
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns a relative path with `/` between its parts.
pub(crate) fn slashes(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
