//! Files and directories that a check needs for a moment.

use super::*;

/// An empty directory of the host's. Only its mount point is on the real machine, and goes with it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// An empty file in the top directory of the rootfs, without the permission to be executed. It isn't on a file system that is
/// mounted on the rootfs, because a program that binds the rootfs may leave such mounts out.
#[derive(Debug)]
pub struct Marker(PathBuf);

impl Marker {
    /// Returns its name in the rootfs.
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().display().to_string()
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Sandbox {
    /// Makes a directory on the host.
    pub fn scratch(&self) -> Result<Scratch> {
        // A path with a colon would be two in `-v HOST:CONTAINER`.
        let all = [env::temp_dir(), "/tmp".into()];
        let temporary =
            all.iter().find(|it| !it.to_string_lossy().contains([':', ','])).context("no place for files")?;
        let path = temporary.join(format!("mini-docker-exam-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let scratch = Scratch(path);
        self.mount_tmpfs(scratch.path())?;
        Ok(scratch)
    }

    /// Puts a file into the rootfs, until the marker is dropped.
    pub fn mark_rootfs(&self) -> Result<Marker> {
        let path = self.directory.join("rootfs").join(format!(".exam-{}", std::process::id()));
        fs::write(&path, "").with_context(|| format!("writing {}", path.display()))?;
        let marker = Marker(path);
        fs::set_permissions(&marker.0, Permissions::from_mode(0o644)).context("chmod")?;
        Ok(marker)
    }
}
