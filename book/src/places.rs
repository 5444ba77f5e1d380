//! Where things are. The book is found from the workspace's top folder, so that a test can build a small one elsewhere.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A workspace with a book in it.
#[derive(Debug, Clone)]
pub struct Places {
    /// The top folder, from which every directive's path counts.
    pub root: PathBuf,
}

impl Places {
    /// The workspace that this program was built in.
    pub fn here() -> Places {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("book/ is a folder of the workspace");
        Places { root: root.to_owned() }
    }

    /// The book's folder.
    pub fn book(&self) -> PathBuf {
        self.root.join("book")
    }

    /// The path of a file that a directive names. It must stay inside the workspace, or the book would depend on the machine.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn inside(&self, folder: &str, name: &str) -> Result<PathBuf, String> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain {
            return Err(format!("`{name}` is not a path inside the workspace"));
        }
        Ok(self.root.join(folder).join(name))
    }

    /// The text of a file that a directive names.
    ///
    /// # Errors
    /// What is wrong with the name or the file.
    pub fn read(&self, folder: &str, name: &str) -> Result<String, String> {
        let path = self.inside(folder, name)?;
        fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file {name}"),
            _ => format!("{name}: {error}"),
        })
    }

    /// A path as problems name it.
    pub fn name(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        inside.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// All files of the workspace but those that are made: by git, by cargo, by `xtask rootfs`, by a learner.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let is_top = folder == self.root;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                let kind = match entry.file_type() {
                    Ok(kind) => kind,
                    // Somebody removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                if kind.is_file() {
                    files.push(path);
                } else if kind.is_dir() {
                    let made = name == ".git"
                        || name == "node_modules"
                        || is_top && ["target", "rootfs", "workshop"].contains(&name.as_str())
                        || is_top && name.starts_with(".rootfs.")
                        || path.join("CACHEDIR.TAG").exists();
                    if !made {
                        folders.push(path);
                    }
                }
            }
        }
        files.sort();
        Ok(files)
    }
}
