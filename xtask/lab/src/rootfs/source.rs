//! The sources of a rootfs.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::inspect::{flaw, has_shell, is_directory};
use super::target::Target;
use super::{Options, alpine, archive, directory, local, remove::remove};

/// Where a rootfs can come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Alpine's minirootfs, downloaded once and kept.
    Alpine,
    /// A busybox on this machine.
    Busybox,
    /// This machine's own programs with the libraries they need.
    Host,
    /// A tarball or a directory.
    Path(PathBuf),
}

impl From<OsString> for Source {
    fn from(name: OsString) -> Self {
        let known = [Source::Alpine, Source::Busybox, Source::Host].into_iter().find(|it| name == it.short());
        // Absolute, because the stamp holds it, which is read in any directory.
        known.unwrap_or_else(|| Source::Path(std::path::absolute(&name).unwrap_or(name.into())))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Alpine => write!(f, "Alpine {}", alpine::RELEASE),
            Source::Busybox => write!(f, "this machine's busybox"),
            Source::Host => write!(f, "this machine's own programs"),
            Source::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// Returns the source that a stamp names, if the source still exists.
    pub fn of_stamp(stamp: &str) -> Option<Source> {
        let named = [Source::Alpine, Source::Busybox, Source::Host].into_iter().find(|it| it.to_string() == stamp);
        named.or_else(|| {
            Some(Source::Path(stamp.into())).filter(|_| Path::new(stamp).is_absolute() && Path::new(stamp).exists())
        })
    }

    /// Returns a word that can be part of a directory's name.
    pub fn short(&self) -> &'static str {
        match self {
            Source::Alpine => "alpine",
            Source::Busybox => "busybox",
            Source::Host => "host",
            Source::Path(_) => "path",
        }
    }

    /// Makes a rootfs at `new`, which doesn't exist yet.
    fn fill(&self, new: &Path, options: &Options) -> Result<()> {
        fs::create_dir(new).with_context(|| format!("creating {}", new.display()))?;
        match self {
            Source::Alpine => write("unpacking", &alpine::tarball(options)?, new, archive::unpack)?,
            Source::Busybox => local::fill_with_busybox(new)?,
            Source::Host => local::fill_with_programs(new)?,
            Source::Path(path) if path.is_dir() => write("copying", path, new, directory::copy)?,
            Source::Path(path) => {
                let sources = "alpine, busybox, host, a tarball, a directory";
                ensure!(path.exists(), "there is no such file or directory (sources: {sources})");
                ensure!(path.is_file(), "it is neither a file nor a directory");
                if let Some(sum) = &options.sha512 {
                    alpine::verify(path, sum)?;
                }
                write("unpacking", path, new, archive::unpack)?;
            }
        }
        complete(new)
    }
}

/// Fills `new` from the source that was named, or from the first one that is available, and returns that.
pub fn fill_from_first(new: &Path, options: &Options) -> Result<Source> {
    if let Some(source) = &options.source {
        source.fill(new, options).with_context(|| format!("no rootfs from {source}"))?;
        return Ok(source.clone());
    }
    for source in [Source::Alpine, Source::Busybox, Source::Host] {
        match source.fill(new, options) {
            Ok(()) => return Ok(source),
            Err(error) => {
                eprintln!("rootfs: no rootfs from {source}: {error:#}; trying the next source");
                remove(new)?;
            }
        }
    }
    bail!(
        "no source for a rootfs. Install a static busybox (Debian: `sudo apt install busybox-static`), or download \
         {} on another machine and name it: `cargo xtask rootfs --source FILE`",
        alpine::url(options).unwrap_or_else(|_| "Alpine's minirootfs".into())
    )
}

/// Fills `new` by one of the functions that copy a source into a [`Target`].
fn write(task: &str, source: &Path, new: &Path, copy: fn(&Path, &mut Target<'_>) -> Result<()>) -> Result<()> {
    eprintln!("rootfs: {task} {}", source.display());
    let mut target = Target::new(new)?;
    copy(source, &mut target)?;
    target.finish()
}

/// Makes a rootfs of what was copied or unpacked, and refuses what can't be one.
fn complete(new: &Path) -> Result<()> {
    if !has_shell(new) {
        use_only_directory(new)?;
    }
    // As `docker save` and skopeo(1) name them.
    let image = ["manifest.json", "oci-layout"].into_iter().find(|name| new.join(name).exists());
    ensure!(
        image.is_none() || has_shell(new),
        "it is a container image in layers (it has {}), not a root file system: `docker export \"$(docker create IMAGE)\" \
         >rootfs.tar` makes a tarball of one",
        image.unwrap_or_default()
    );
    fs::set_permissions(new, Permissions::from_mode(0o755))?;
    // Where step 4 mounts, and where the stamp goes.
    for name in ["proc", "etc"] {
        // A link may lead out of it.
        match new.join(name).symlink_metadata() {
            Ok(metadata) => ensure!(metadata.is_dir(), "its /{name} is not a directory"),
            Err(_) => fs::create_dir(new.join(name)).with_context(|| format!("creating {name}/ in it"))?,
        }
    }
    // Only root can create devices, so it is empty from every source.
    remove(&new.join("dev"))?;
    fs::create_dir(new.join("dev")).context("creating dev/ in it")?;
    match flaw(new) {
        Some(flaw) => bail!("it {flaw}"),
        None => Ok(()),
    }
}

/// Replaces `new` by its only directory if that is a rootfs: some tarballs, such as Arch Linux's, have everything in one.
fn use_only_directory(new: &Path) -> Result<()> {
    let entries = fs::read_dir(new)?.collect::<Result<Vec<_>, _>>()?;
    let mut directories = entries.iter().map(|entry| entry.path()).filter(|path| is_directory(path));
    if let (Some(only), None) = (directories.next(), directories.next())
        && has_shell(&only)
    {
        eprintln!("rootfs: using its only directory, {:?}", only.file_name().unwrap_or_default());
        let inner = new.with_file_name("inner");
        // The owner of a directory can only move it if it is writable.
        fs::set_permissions(&only, Permissions::from_mode(0o755))?;
        fs::rename(&only, &inner)?;
        remove(new)?;
        fs::rename(inner, new)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_names_its_source() {
        for source in [Source::Alpine, Source::Busybox, Source::Host, Source::Path("/".into())] {
            assert_eq!(Source::of_stamp(&source.to_string()), Some(source));
        }
        assert_eq!(Source::of_stamp("Alpine 1.0"), None);
        assert_eq!(Source::of_stamp("/no/such/directory"), None);
    }
}
