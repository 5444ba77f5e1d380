//! The parts of the real machine that no test may change.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

use crate::{cargo, mountinfo, workspace};

/// The machine's name, and the mounts at `/` and in the places where the tests work. Elsewhere a disk may be plugged in at any time.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    hostname: String,
    mounts: Vec<PathBuf>,
}

impl Machine {
    /// Reads them now.
    pub fn observe() -> Result<Machine> {
        let hostname =
            fs::read_to_string("/proc/sys/kernel/hostname").context("open(\"/proc/sys/kernel/hostname\")")?;
        let target = cargo::target_directory()?;
        let places = [workspace::root().to_owned(), target, env::temp_dir(), "/tmp".into(), "/proc".into()];
        // Whoever looks at binfmt_misc may be the first, and systemd mounts it then.
        let mounts = mountinfo::own()?.into_iter().filter(|mount| mount.kind != "binfmt_misc").map(|mount| mount.point);
        let is_ours = |point: &PathBuf| point == Path::new("/") || places.iter().any(|place| point.starts_with(place));
        let mounts = mounts.filter(is_ours).collect();
        Ok(Machine { hostname, mounts })
    }
}
