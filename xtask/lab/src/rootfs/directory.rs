//! Copies a directory to make it a rootfs.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::target::{Target, named};

/// Copies directories, links and regular files into `target`, but nothing that is mounted in `source`.
pub fn copy(source: &Path, target: &mut Target<'_>) -> Result<()> {
    let is_inside = target.root.canonicalize()?.starts_with(source.canonicalize()?);
    ensure!(!is_inside, "the rootfs would be inside its own source");
    // The first name of each file that has several.
    let mut names = HashMap::new();
    for (name, metadata) in list(source, target)? {
        let path = source.join(&name);
        let copied = if metadata.is_dir() {
            target.directory(&name, metadata.mode())
        } else if metadata.is_symlink() {
            target.symlink(&name, &fs::read_link(&path)?)
        } else if metadata.is_file() {
            let first = names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| name.clone());
            if *first == name {
                let content = File::open(&path).with_context(|| format!("opening {path:?}"))?;
                target.file(&name, metadata.mode(), metadata.modified()?, &mut content.take(metadata.len()))
            } else {
                target.hard_link(&name, first)
            }
        } else {
            Ok(())
        };
        copied.map_err(|error| named(error, &name))?;
    }
    Ok(())
}

/// Returns the paths to copy, each directory before its content, unless they are too large for `target`.
fn list(source: &Path, target: &mut Target<'_>) -> Result<Vec<(PathBuf, Metadata)>> {
    let device = source.metadata().with_context(|| format!("reading {}", source.display()))?.dev();
    let mut found = Vec::new();
    // Not recursive, because a directory may be deep.
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let reading = || format!("reading {:?}", source.join(&directory));
        for entry in fs::read_dir(source.join(&directory)).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let (name, metadata) = (directory.join(entry.file_name()), entry.metadata().with_context(reading)?);
            target.check_name(&name, found.len() as u64)?;
            // A file with several names counts once.
            target.spend(if metadata.is_file() { metadata.len() / metadata.nlink() } else { 0 })?;
            directories.extend((metadata.is_dir() && metadata.dev() == device).then(|| name.clone()));
            found.push((name, metadata));
        }
    }
    Ok(found)
}
