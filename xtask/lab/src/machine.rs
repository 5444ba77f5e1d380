//! The parts of the real machine that no test may change.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::{cargo, mountinfo, workspace};

/// The machine's name, and the mounts in the places where the tests work. Elsewhere a disk may be plugged in at any time.
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
        let places = [workspace::root().to_owned(), cargo::target_directory()?, env::temp_dir(), "/proc".into()];
        // Whoever looks at binfmt_misc may be the first, and systemd mounts it then.
        let mounts = mountinfo::own()?.into_iter().filter(|mount| mount.kind != "binfmt_misc").map(|mount| mount.point);
        let mounts = mounts.filter(|point| places.iter().any(|place| point.starts_with(place))).collect();
        Ok(Machine { hostname, mounts })
    }
}
