//! A directory and a file that a check needs for a moment.

use super::*;

/// An empty directory of the host's. Only its mount point is on the real machine, and goes with it.
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

impl Sandbox {
    pub fn scratch(&self) -> Result<Scratch> {
        // A path with a colon would be two in `-v HOST:CONTAINER`.
        let all = [env::temp_dir(), "/tmp".into()];
        let temporary =
            all.iter().find(|it| !it.to_string_lossy().contains([':', ','])).context("no place for files")?;
        let path = temporary.join(self.draw.word());
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let scratch = Scratch { path };
        self.mount_tmpfs(&scratch.path)?;
        self.give(&scratch.path);
        Ok(scratch)
    }

    /// Does something while an empty file is in the top directory of the rootfs, without the permission to be executed; passes
    /// its name. It isn't on a file system that is mounted on the rootfs, because a program that binds the rootfs may leave
    /// such mounts out.
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
