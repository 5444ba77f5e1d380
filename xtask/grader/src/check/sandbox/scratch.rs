//! A directory and a file that a check needs for a moment.

use super::*;

/// An empty directory of the host's.
#[derive(Debug)]
pub struct Scratch {
    pub path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.path);
    }
}

/// Mounts a tmpfs for scratch directories on an unneeded directory, and returns that directory. So they disappear with the
/// host, even if this process is killed. If every directory is needed, they are among the machine's temporary files.
pub fn place(needed: &[&Path]) -> Result<PathBuf> {
    let is_free = |it: &&Path| it.is_dir() && !it.is_symlink() && !needed.iter().any(|path| path.starts_with(it));
    match ["/mnt", "/srv", "/media", "/opt"].map(Path::new).iter().copied().find(is_free) {
        Some(place) => mount_tmpfs(place, MsFlags::empty()).map(|()| place.to_owned()),
        None => Ok(env::temp_dir()),
    }
}

impl Sandbox {
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.scratch_place.join(self.draw.word());
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let scratch = Scratch { path };
        self.mount_tmpfs(&scratch.path)?;
        self.given.borrow_mut().push(scratch.path.clone());
        Ok(scratch)
    }

    /// Runs `action` with the name of an empty, non-executable file in the top directory of the rootfs. The file isn't on a
    /// file system mounted on the rootfs, because a program that binds the rootfs may leave such mounts out.
    pub fn with_marker<T>(&self, action: impl FnOnce(&str) -> T) -> io::Result<T> {
        let name = self.draw.word();
        let path = self.directory.join("rootfs").join(&name);
        fs::write(&path, "")?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        let result = action(&name);
        fs::remove_file(&path)?;
        Ok(result)
    }
}
