//! Notices a program's write to its own /proc/self/setgroups.

use std::fs::File;

use anyhow::{Context, Result};
use lab::procfs::Pid;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A watch on a process's setgroups file. In a user namespace where setgroups(2) is denied, such as that of an ordinary user's
/// throwaway host, nested ones have it denied from the start. So the file reveals nothing, but inotify(7) reports a write.
#[derive(Debug)]
pub struct SetgroupsWatch {
    events: Inotify,
    /// Open, so that the kernel keeps the inodes that are watched.
    _files: Vec<File>,
}

impl SetgroupsWatch {
    /// Watches /proc/self and /proc/thread-self of a process. It has no other /proc to write to.
    pub fn new(pid: Pid) -> Result<SetgroupsWatch> {
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).context("inotify_init1")?;
        let mut files = Vec::new();
        for path in [format!("/proc/{pid}/setgroups"), format!("/proc/{pid}/task/{pid}/setgroups")] {
            files.push(File::open(&path).with_context(|| format!("open({path:?})"))?);
            let watched = events.add_watch(path.as_str(), AddWatchFlags::IN_MODIFY);
            watched.with_context(|| format!("inotify_add_watch({path:?})"))?;
        }
        Ok(SetgroupsWatch { events, _files: files })
    }

    pub fn was_written(&self) -> bool {
        self.events.read_events().is_ok_and(|events| !events.is_empty())
    }
}
