//! A cgroup that the sandbox makes for one run of the program, which sees nothing above it: so nothing that it makes stays on the
//! machine.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::ensure;
use nix::dir::{Dir, Type};
use nix::fcntl::{OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, read, unlinkat, write};

use super::*;
use crate::check::sandbox::CGROUPS;

/// In version 2, the children of our cgroup in which the program starts, and in which the sandbox is meanwhile: a cgroup that
/// gives a controller to its children has no processes of its own.
pub const START: &str = "start";
const SANDBOX: &str = "sandbox";
const PREFIX: &str = "mini-docker-check-";

/// What limits a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Pids,
    Memory,
}

impl Controller {
    pub fn name(self) -> &'static str {
        match self {
            Controller::Pids => "pids",
            Controller::Memory => "memory",
        }
    }

    /// Returns the name of the file that has the limit.
    pub fn limit(self, unified: bool) -> &'static str {
        match self {
            Controller::Pids => "pids.max",
            Controller::Memory if unified => "memory.max",
            Controller::Memory => "memory.limit_in_bytes",
        }
    }

    /// Returns the name of the file in which a 0 keeps the memory from being swapped.
    fn no_swap(self, unified: bool) -> Option<&'static str> {
        match self {
            Controller::Pids => None,
            Controller::Memory => Some(if unified { "memory.swap.max" } else { "memory.swappiness" }),
        }
    }
}

/// Parses a limit: a number, or `max` for none. Version 1 has no word for none in a memory limit, and shows the largest number
/// of bytes that are whole pages.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < i64::MAX as u64 - MOST_PAGE_SIZE)
}

/// No machine has larger pages.
const MOST_PAGE_SIZE: u64 = 1 << 20;

/// A tree of cgroups, by its controllers: cgroups(7). In version 1 each controller has a tree, perhaps with others; in version 2
/// all share one, which is listed without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(String);

impl Tree {
    /// True if it is of version 2.
    pub fn is_unified(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path of the cgroup that a `/proc/PID/cgroup` has for this tree.
    pub fn path_in<'a>(&self, table: &'a str) -> Option<&'a str> {
        lines(table).find(|(controllers, _)| *controllers == self.0).map(|(_, path)| path)
    }

    fn is_mounted_at(&self, mount: &Mount) -> bool {
        let has = |controller| mount.super_options.split(',').any(|option| option == controller);
        mount.kind == if self.is_unified() { "cgroup2" } else { "cgroup" }
            && (self.is_unified() || self.0.split(',').all(has))
    }
}

/// Splits the lines of a /proc/PID/cgroup, `NUMBER:CONTROLLERS:PATH`, into controllers and paths.
fn lines(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// Returns the directories in which a cgroup with that controller may be made: where this process is, and those above.
fn places(table: &str, mounts: &[Mount], controller: Controller) -> Vec<(Tree, PathBuf)> {
    let mut places = Vec::new();
    let has_it = |all: &str| all.is_empty() || all.split(',').any(|it| it == controller.name());
    for (controllers, path) in lines(table).filter(|(all, _)| has_it(all)) {
        let tree = Tree(controllers.to_owned());
        // In a container only a part of the tree may be mounted.
        let Some(mount) = mounts.iter().find(|mount| tree.is_mounted_at(mount)) else { continue };
        let Ok(below) = Path::new(path).strip_prefix(&mount.root) else { continue };
        // Collecting drops the slash at the end of a joined empty path.
        places.extend(below.ancestors().map(|it| (tree.clone(), mount.point.join(it).components().collect())));
    }
    places
}

/// A cgroup for one run. Its directory is held open, because its path is hidden from here as well.
pub struct Cgroup<'a> {
    sandbox: &'a Sandbox,
    pub tree: Tree,
    controller: Controller,
    directory: OwnedFd,
    parent: OwnedFd,
    name: String,
    /// The `cgroup.procs` that we came from, open because a cgroup namespace can't be left otherwise.
    home: OwnedFd,
}

impl<'a> Cgroup<'a> {
    /// Makes a cgroup where this process may, moves in, and hides everything above.
    pub fn make(sandbox: &'a Sandbox, controller: Controller) -> Checked<Cgroup<'a>> {
        if Path::new(CGROUPS).is_dir() {
            // What the sandbox has covered.
            umount2(CGROUPS, MntFlags::MNT_DETACH).context("umount2(\"/sys/fs/cgroup\", MNT_DETACH)")?;
        }
        let table = String::from_utf8_lossy(&sandbox.machine.read(None, "cgroup")?).into_owned();
        let places = places(&table, &mountinfo::parse(&sandbox.machine.read(None, "mountinfo")?), controller);
        let cure = "It takes a cgroup that is yours: be root, or put `systemd-run --user --scope -p Delegate=yes` before \
                    the command.";
        let mut refusal = None;
        for (tree, place) in &places {
            // The first place of each tree is where we are.
            let home = places.iter().find(|(it, _)| it == tree).map_or(place, |(_, home)| home);
            match Cgroup::make_at(sandbox, controller, tree, place, home) {
                Ok(cgroup) => {
                    cgroup.hide_what_is_above().map_err(|error| cannot_run(format!("{error:#}"), cure))?;
                    return Ok(cgroup);
                }
                Err(error) => refusal = refusal.or(Some(format!("{error:#}"))),
            }
        }
        let none = || format!("this machine has mounted no cgroups with a {} controller", controller.name());
        Err(cannot_run(refusal.unwrap_or_else(none), cure))
    }

    fn make_at(
        sandbox: &'a Sandbox,
        controller: Controller,
        tree: &Tree,
        place: &Path,
        home: &Path,
    ) -> Result<Cgroup<'a>> {
        let open = |path: &Path, flags| {
            nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).with_context(|| format!("open({path:?})"))
        };
        let parent = open(place, DIRECTORY)?;
        let home = open(&home.join("cgroup.procs"), OFlag::O_WRONLY)?;
        remove_stale(sandbox, &parent);
        let name = format!("{PREFIX}{}", std::process::id());
        let path = place.join(&name);
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let enter = || {
            let directory = open(&path, DIRECTORY)?;
            if tree.is_unified() {
                let controllers = fs::read_to_string(path.join("cgroup.controllers"))?;
                let name = controller.name();
                let has_it = controllers.split_whitespace().any(|it| it == name);
                ensure!(has_it, "{} has no {name} controller to give", place.display());
            }
            // The verdict must not depend on whether this machine has swap. The kernel may not know the file.
            if let Some(file) = controller.no_swap(tree.is_unified()) {
                let _ = write_to(&directory, file, "0");
            }
            write_to(&directory, "cgroup.procs", "0").with_context(|| format!("write({path:?}/cgroup.procs)"))?;
            Ok(directory)
        };
        let directory = enter().inspect_err(|_| _ = fs::remove_dir(&path))?;
        Ok(Cgroup { sandbox, tree: tree.clone(), controller, directory, parent, name, home })
    }

    /// Makes this cgroup the top of the tree, for us and for the program.
    fn hide_what_is_above(&self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWCGROUP).context("unshare(CLONE_NEWCGROUP)")?;
        if self.tree.is_unified() {
            mount(Some("cgroup2"), CGROUPS, Some("cgroup2"), MsFlags::empty(), None::<&str>)
                .context("mount(\"cgroup2\")")?;
            for name in [START, SANDBOX] {
                mkdirat(&self.directory, name, Mode::from_bits_truncate(0o755)).context("mkdir")?;
            }
            let ours = open_directory(&self.directory, SANDBOX)?;
            write_to(&ours, "cgroup.procs", "0").context("write(cgroup.procs)")?;
            write_to(&self.directory, "cgroup.subtree_control", &format!("+{}", self.controller.name()))
                .context("write(cgroup.subtree_control)")?;
        } else {
            self.sandbox.mount_tmpfs(Path::new(CGROUPS))?;
            let (point, data) = (Path::new(CGROUPS).join(self.controller.name()), Some(self.tree.0.as_str()));
            fs::create_dir(&point).context("mkdir")?;
            mount(Some("cgroup"), &point, Some("cgroup"), MsFlags::empty(), data).context("mount(\"cgroup\")")?;
        }
        self.sandbox.accept_mounts()
    }

    /// Returns the lowest limit from `path` up to this cgroup, this one excluded.
    pub fn limit_of(&self, path: &Path) -> Option<u64> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let directories = below.ancestors().filter(|it| !it.as_os_str().is_empty());
        let file = self.controller.limit(self.tree.is_unified());
        directories.filter_map(|it| parse_limit(&read_from(&self.directory, &it.join(file)).ok()?)).min()
    }

    /// Returns the cgroups below, except ours.
    pub fn made_by_others(&self) -> nix::Result<Vec<String>> {
        let mut others = directories(&self.directory)?;
        if self.tree.is_unified() {
            others.retain(|name| ![START, SANDBOX].contains(&name.as_str()));
            others.extend(directories(open_directory(&self.directory, START)?)?);
        }
        Ok(others)
    }
}

impl Drop for Cgroup<'_> {
    fn drop(&mut self) {
        let _ = write(&self.home, b"0");
        self.sandbox.close();
        let start = Instant::now();
        // Processes that were killed are in there until they have ended.
        while remove(&self.parent, &self.name) == Err(Errno::EBUSY) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);

fn open_directory(parent: impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
}

fn write_to(directory: impl AsFd, name: &str, text: &str) -> nix::Result<()> {
    let file = openat(directory, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(file, text.as_bytes()).map(drop)
}

fn read_from(directory: impl AsFd, path: &Path) -> nix::Result<String> {
    let file = openat(directory, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = [0; 64];
    let length = read(file, &mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

fn directories(directory: impl AsFd) -> nix::Result<Vec<String>> {
    let mut directory = Dir::openat(directory, ".", DIRECTORY, Mode::empty())?;
    let entries = directory.iter().filter_map(Result::ok).filter(|entry| entry.file_type() == Some(Type::Directory));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "." && name != "..").collect())
}

/// Removes a cgroup, and all below.
fn remove(parent: impl AsFd, name: &str) -> nix::Result<()> {
    let parent = parent.as_fd();
    let directory = open_directory(parent, name)?;
    for inner in directories(&directory)? {
        remove(&directory, &inner)?;
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}

/// Removes what a sandbox left that was killed itself.
fn remove_stale(sandbox: &Sandbox, parent: &OwnedFd) {
    for name in directories(parent).unwrap_or_default() {
        let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok());
        if owner.is_some_and(|pid| sandbox.machine.process(pid).is_none()) {
            let _ = remove(parent, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str, point: &str, kind: &str, super_options: &str) -> Mount {
        let line = format!("36 35 0:30 {root} {point} rw - {kind} {kind} {super_options}\n");
        mountinfo::parse(line.as_bytes()).remove(0)
    }

    fn found(table: &str, mounts: &[Mount]) -> Vec<(String, String)> {
        places(table, mounts, Controller::Pids)
            .into_iter()
            .map(|(tree, path)| (tree.0, path.display().to_string()))
            .collect()
    }

    #[test]
    fn version_1_has_a_tree_for_pids() {
        let table = "12:cpu,cpuacct:/\n8:pids:/user/a:b\n1:name=systemd:/user\n";
        let mounts = [
            mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            mount("/", "/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
        ];
        let folders = ["/sys/fs/cgroup/pids/user/a:b", "/sys/fs/cgroup/pids/user", "/sys/fs/cgroup/pids"];
        assert_eq!(found(table, &mounts), folders.map(|folder| ("pids".to_owned(), folder.to_owned())));
        assert_eq!(Tree("pids".into()).path_in(table), Some("/user/a:b"));
        assert_eq!(Tree(String::new()).path_in(table), None);
    }

    #[test]
    fn version_1_has_another_tree_for_memory() {
        let table = "8:pids:/user\n4:cpu,memory:/a\n0::/\n";
        let mounts = [
            mount("/", "/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
            mount("/", "/sys/fs/cgroup/memory", "cgroup", "rw,cpu,memory"),
        ];
        let places = places(table, &mounts, Controller::Memory);
        let paths = ["/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"];
        assert_eq!(places, paths.map(|path| (Tree("cpu,memory".into()), PathBuf::from(path))));
        assert_eq!(Controller::Memory.limit(false), "memory.limit_in_bytes");
        assert_eq!(Controller::Memory.limit(true), "memory.max");
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_limit("67108864\n"), Some(64 << 20));
        // Version 1, with pages of 4 KiB and of 64 KiB.
        assert_eq!(parse_limit("9223372036854771712\n"), None);
        assert_eq!(parse_limit("9223372036854710272\n"), None);
        assert_eq!(parse_limit(""), None);
    }

    #[test]
    fn version_2_has_one_tree() {
        let mounts = [mount("/", "/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")];
        let folders = ["/sys/fs/cgroup/a.slice", "/sys/fs/cgroup"];
        assert_eq!(found("0::/a.slice\n", &mounts), folders.map(|folder| (String::new(), folder.to_owned())));
        assert_eq!(Tree(String::new()).path_in("0::/a.slice\n"), Some("/a.slice"));
    }

    #[test]
    fn of_a_tree_mounted_in_part_there_is_no_more() {
        let table = "8:pids:/docker/x/y\n0::/\n";
        let mounts = [mount("/docker/x", "/sys/fs/cgroup/pids", "cgroup", "rw,pids")];
        let folders: Vec<_> = found(table, &mounts).into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(folders, ["/sys/fs/cgroup/pids/y", "/sys/fs/cgroup/pids"]);
        assert_eq!(found(table, &[mount("/elsewhere", "/sys/fs/cgroup/pids", "cgroup", "rw,pids")]), []);
        assert_eq!(found("", &mounts), []);
    }
}
