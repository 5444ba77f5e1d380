//! The host's cgroups. The sandbox creates one in each hierarchy, and the host sees nothing else. A program's cgroups are below
//! it, so nothing stays on the machine.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::mkdirat;

use super::*;
use crate::check::verdict::cannot_run;

mod directory;
mod hierarchy;

use directory::*;
pub use hierarchy::Controller;
use hierarchy::{Hierarchy, Site, lines, parse_limit, sites};

/// The mount point of the kernel's cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";
/// The name of a sandbox's cgroup, before its PID.
const PREFIX: &str = "mini-docker-check-";
/// In version 2, the children of our cgroup in which a program starts, and in which everything else on the host is: a cgroup
/// that gives a controller to its children has no processes of its own.
const START: &str = "start";
const SANDBOX: &str = "sandbox";
/// How long processes that were killed may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns the hierarchies that this process sees, if the machine has cgroups.
fn own_sites() -> Vec<Site> {
    let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    sites(&table, &mountinfo::own().unwrap_or_default())
}

/// A cgroup of the sandbox's own.
#[derive(Debug)]
struct Cgroup {
    hierarchy: Hierarchy,
    /// Where the hierarchy is mounted.
    point: PathBuf,
    /// Held open, because a program may hide it.
    directory: OwnedFd,
}

impl Cgroup {
    /// Makes a cgroup where this process may, and moves in.
    fn make(site: &Site) -> Result<Cgroup> {
        let mut places: Vec<&PathBuf> = site.places.iter().collect();
        if site.hierarchy.is_unified() {
            // A child has the controllers that its parent gives. The nearest of those that give most comes first.
            let given = |place: &Path| fs::read_to_string(place.join("cgroup.subtree_control")).unwrap_or_default();
            places.sort_by_key(|place| std::cmp::Reverse(words(&given(place)).len()));
        }
        let mut refusal = None;
        for place in places {
            match Cgroup::make_at(site, place) {
                Ok(cgroup) => return Ok(cgroup),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.context("no place")?)
    }

    fn make_at(site: &Site, place: &Path) -> Result<Cgroup> {
        let path = place.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let enter = || {
            // A new cgroup of version 1 has no CPUs.
            for file in ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|it| path.join(it).exists()) {
                if !site.hierarchy.is_unified() {
                    fs::write(path.join(file), fs::read(place.join(file))?)?;
                }
            }
            let directory = nix::fcntl::open(&path, DIRECTORY, Mode::empty())?;
            write_to(&directory, "cgroup.procs", "0").with_context(|| format!("write({path:?}/cgroup.procs)"))?;
            anyhow::Ok(directory)
        };
        let directory = enter().inspect_err(|_| _ = fs::remove_dir(&path))?;
        Ok(Cgroup { hierarchy: site.hierarchy.clone(), point: site.point.clone(), directory })
    }

    /// True if it limits that resource.
    fn has(&self, controller: Controller) -> bool {
        match self.hierarchy.is_unified() {
            true => self.given().iter().any(|it| it == controller.name()),
            false => self.hierarchy.has(controller),
        }
    }

    /// Returns the controllers that it has and may give to its children, in version 2.
    fn given(&self) -> Vec<String> {
        words(&read_from(&self.directory, Path::new("cgroup.controllers")).unwrap_or_default())
    }

    /// In version 2: moves this process to a cgroup below, and gives the controllers to all cgroups below.
    fn give_controllers(&self) -> Result<()> {
        for name in [START, SANDBOX] {
            mkdirat(&self.directory, name, DIRECTORY_MODE).with_context(|| format!("mkdir({name:?})"))?;
        }
        self.enter(SANDBOX)?;
        for name in self.given() {
            let written = write_to(&self.directory, "cgroup.subtree_control", &format!("+{name}"));
            // The kernel may keep others, such as `cpu` if there are real-time processes.
            if Controller::ALL.iter().any(|it| it.name() == name) {
                written.with_context(|| format!("write(\"cgroup.subtree_control\", \"+{name}\")"))?;
            }
        }
        Ok(())
    }

    /// Moves this process to the cgroup of that name below.
    fn enter(&self, name: &str) -> Result<()> {
        let context = || format!("write(\"{name}/cgroup.procs\", \"0\")");
        write_to(&open_directory(&self.directory, name)?, "cgroup.procs", "0").with_context(context)
    }

    /// True if programs start in a cgroup below.
    fn is_split(&self) -> bool {
        self.hierarchy.is_unified() && open_directory(&self.directory, SANDBOX).is_ok()
    }

    /// Resets the cgroup in which a program starts, undoing what an earlier program has changed.
    fn reset_start(&self) -> Result<()> {
        match mkdirat(&self.directory, START, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error).context("mkdir(\"start\")"),
        }
        let start = open_directory(&self.directory, START)?;
        for name in words(&read_from(&start, Path::new("cgroup.subtree_control"))?) {
            let _ = write_to(&start, "cgroup.subtree_control", &format!("-{name}"));
        }
        Ok(())
    }
}

/// The cgroups of one sandbox.
#[derive(Debug)]
pub struct Cgroups {
    own: Vec<Cgroup>,
    /// The hierarchies in which this process may not create a cgroup, and why.
    refused: Vec<(Hierarchy, String)>,
    /// True if this process runs as root.
    of_root: bool,
    /// The `/proc/PID/cgroup` of each program when it starts.
    start: String,
}

impl Cgroups {
    /// Makes a cgroup in every hierarchy in which this process may, moves in, and hides everything above from the host that is
    /// being built. Where it may make none, the host shows the machine's, as `cargo xtask host` does. Root could change those,
    /// and those that ours cover, so they become read-only.
    pub fn make(of_root: bool) -> Result<Cgroups> {
        // Moving one process makes all others on the machine wait. Moving several in a short time costs no more.
        let (mut own, mut refused) = (Vec::new(), Vec::new());
        for site in own_sites() {
            match Cgroup::make(&site) {
                Ok(cgroup) => own.push(cgroup),
                Err(error) => refused.push((site.hierarchy, format!("{error:#}"))),
            }
        }
        let mut cgroups = Cgroups { own, refused, of_root, start: String::new() };
        let machine = mountinfo::own()?;
        if !cgroups.own.is_empty() {
            unshare(CloneFlags::CLONE_NEWCGROUP).context("unshare(CLONE_NEWCGROUP)")?;
        }
        for cgroup in cgroups.own.iter().filter(|it| it.hierarchy.is_unified() && !it.given().is_empty()) {
            cgroup.give_controllers()?;
        }
        if of_root {
            make_read_only(&machine)?;
        }
        if !cgroups.own.is_empty() {
            cgroups.mount()?;
        }
        cgroups.start = cgroups.at_start(own_table)??;
        Ok(cgroups)
    }

    /// Mounts each hierarchy where the machine has it.
    fn mount(&mut self) -> Result<()> {
        // `cpu` may be a link to `cpu,cpuacct`.
        let entries = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        let links = entries.filter_map(|it| Some((it.path(), fs::read_link(it.path()).ok()?))).collect::<Vec<_>>();
        // In version 2 as well: the kernel refuses to mount a file system on itself (EBUSY).
        mount_tmpfs(Path::new(CGROUPS), MsFlags::empty())?;
        // Not the freezer of version 1: a program could freeze this process, which couldn't even be killed then.
        let is_shown = |it: &&mut Cgroup| it.point.starts_with(CGROUPS) && it.hierarchy.0 != "freezer";
        for Cgroup { hierarchy, point, directory } in self.own.iter_mut().filter(is_shown) {
            let point = point.as_path();
            fs::create_dir_all(point).with_context(|| format!("mkdir({point:?})"))?;
            let (kind, options) = (hierarchy.kind(), hierarchy.options());
            mount(Some(kind), point, Some(kind), MsFlags::empty(), options)
                .with_context(|| format!("mount({kind:?}, {point:?}, {kind:?}, 0, {options:?})"))?;
            // The machine's mount may be read-only now.
            *directory =
                nix::fcntl::open(point, DIRECTORY, Mode::empty()).with_context(|| format!("open({point:?})"))?;
        }
        // In version 2 they would be in a cgroup.
        if !self.own.iter().any(|it| it.point == Path::new(CGROUPS)) {
            links.iter().try_for_each(|(link, target)| symlink(target, link)).context("symlink")?;
        }
        Ok(())
    }

    /// Starts a program in the cgroup where it is alone. In version 1, where that makes no difference, it starts in this
    /// process's cgroup.
    pub fn at_start<T>(&self, start: impl FnOnce() -> T) -> Result<T> {
        let Some(cgroup) = self.own.iter().find(|it| it.is_split()) else { return Ok(start()) };
        cgroup.reset_start()?;
        cgroup.enter(START)?;
        let started = start();
        cgroup.enter(SANDBOX)?;
        Ok(started)
    }

    /// True if this `/proc/PID/cgroup` names cgroups other than those that a program starts in.
    pub fn are_new(&self, table: &str) -> bool {
        !lines(table).eq(lines(&self.start))
    }

    /// Returns the cgroups below ours.
    pub fn below(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for cgroup in &self.own {
            let ours = if cgroup.is_split() { [START, SANDBOX].as_slice() } else { &[] };
            find_below(&cgroup.directory, &cgroup.point, MOST_LEVELS, &mut found);
            found.retain(|path| !ours.iter().any(|name| *path == cgroup.point.join(name)));
        }
        found
    }

    /// Returns the cgroups that limit that resource, or the verdict that this machine can't tell.
    pub fn of(&self, controller: Controller) -> Checked<Limits<'_>> {
        let Some(cgroup) = self.own.iter().find(|it| it.has(controller)) else {
            let cure = match self.of_root {
                true => "The cgroups of this machine must be writable here. In a container they usually aren't.",
                false => {
                    "This needs a cgroup that you own: use root, or put `systemd-run --user --scope -p Delegate=yes` before \
                     the command."
                }
            };
            return Err(cannot_run(self.why_none(controller), cure));
        };
        Ok(Limits { controller, cgroup, start: cgroup.hierarchy.path_in(&self.start).unwrap_or_default() })
    }

    fn why_none(&self, controller: Controller) -> String {
        let refused = |is: &dyn Fn(&Hierarchy) -> bool| self.refused.iter().find(|(it, _)| is(it));
        let refusal = refused(&|it| it.has(controller)).or_else(|| refused(&Hierarchy::is_unified));
        let name = controller.name();
        match refusal {
            Some((_, why)) => why.clone(),
            None if self.own.iter().any(|it| it.hierarchy.is_unified()) => {
                format!("this process's cgroup has no {name} controller to pass on")
            }
            None => format!("this machine mounts no cgroups with a {name} controller"),
        }
    }
}

/// The cgroups by which a resource can be limited.
#[derive(Debug)]
pub struct Limits<'a> {
    controller: Controller,
    cgroup: &'a Cgroup,
    /// The path of the cgroup in which a program starts.
    pub start: &'a str,
}

impl Limits<'_> {
    /// Returns the name of the file that has the limit.
    pub fn file(&self) -> &'static str {
        self.controller.limit(self.cgroup.hierarchy.is_unified())
    }

    /// Returns the mount point of the hierarchy.
    pub fn point(&self) -> &Path {
        &self.cgroup.point
    }

    /// Returns the path of the cgroup that a `/proc/PID/cgroup` has.
    pub fn path_in<'a>(&self, table: &'a str) -> &'a str {
        self.cgroup.hierarchy.path_in(table).unwrap_or_default()
    }

    /// Returns the lowest limit from `path` up to the sandbox's cgroup, which is excluded.
    pub fn limit_at(&self, path: &str) -> Option<u64> {
        let directories = Path::new(path.trim_start_matches('/')).ancestors().filter(|it| !it.as_os_str().is_empty());
        directories.filter_map(|it| parse_limit(&read_from(&self.cgroup.directory, &it.join(self.file())).ok()?)).min()
    }
}

fn own_table() -> Result<String> {
    fs::read_to_string("/proc/self/cgroup").context("open(\"/proc/self/cgroup\")")
}

/// Makes the machine's own cgroups read-only on the host, or hides them.
fn make_read_only(mounts: &[Mount]) -> Result<()> {
    let is_of_cgroups = |it: &&Mount| ["cgroup", "cgroup2"].contains(&&*it.kind) || it.point.starts_with(CGROUPS);
    for it in mounts.iter().filter(is_of_cgroups) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | it.locked_flags();
        if mount(None::<&str>, &it.point, None::<&str>, flags, None::<&str>).is_err() {
            mount_tmpfs(&it.point, MsFlags::MS_RDONLY)?;
        }
    }
    Ok(())
}

/// Removes the cgroups of a sandbox that has ended.
pub fn remove_those_of(sandbox: u32) {
    let name = format!("{PREFIX}{sandbox}");
    let start = Instant::now();
    for place in own_sites().iter().flat_map(|site| &site.places).filter(|it| it.join(&name).is_dir()) {
        let Ok(parent) = File::open(place) else { continue };
        // If the sandbox was killed, its host may still be ending.
        while remove(&parent, &name, MOST_LEVELS) == Err(Errno::EBUSY) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Removes what was left when sandboxes and their parents were killed.
pub fn remove_stale() {
    let Ok(proc) = Proc::open(Path::new("/proc")) else { return };
    for place in own_sites().iter().flat_map(|site| &site.places) {
        let Ok(parent) = File::open(place) else { continue };
        for name in directories(&parent).unwrap_or_default() {
            let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid| proc.process(pid).is_none_or(|it| it.state == 'Z')) {
                let _ = remove(&parent, &name, MOST_LEVELS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_moved_is_in_new_cgroups() {
        let start = "8:pids:/\n0::/start\n".to_owned();
        let cgroups = Cgroups { own: Vec::new(), refused: Vec::new(), of_root: false, start };
        assert!(!cgroups.are_new("8:pids:/\n0::/start\n"));
        assert!(cgroups.are_new("8:pids:/mine\n0::/start\n"));
        assert!(cgroups.are_new("8:pids:/\n0::/start/mine\n"));
    }

    #[test]
    fn a_refusal_tells_why() {
        let refused = |hierarchy: &str, why: &str| (Hierarchy(hierarchy.into()), why.to_owned());
        let refused = vec![refused("cpu,memory", "memory: EROFS"), refused("", "unified: EACCES")];
        let cgroups = Cgroups { own: Vec::new(), refused, of_root: false, start: String::new() };
        assert_eq!(cgroups.why_none(Controller::Memory), "memory: EROFS");
        assert_eq!(cgroups.why_none(Controller::Pids), "unified: EACCES");
        let cgroups = Cgroups { refused: Vec::new(), ..cgroups };
        assert_eq!(cgroups.why_none(Controller::Pids), "this machine mounts no cgroups with a pids controller");
    }
}
