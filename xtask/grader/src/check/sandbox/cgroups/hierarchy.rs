//! The hierarchies of cgroups that a machine has: cgroups(7).

use std::path::{Path, PathBuf};

use lab::mountinfo::Mount;

/// What limits a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Pids,
    Memory,
}

impl Controller {
    pub const ALL: [Controller; 2] = [Controller::Pids, Controller::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Controller::Pids => "pids",
            Controller::Memory => "memory",
        }
    }

    /// Returns the name of the file that has the limit.
    pub fn limit(self, is_unified: bool) -> &'static str {
        match self {
            Controller::Pids => "pids.max",
            Controller::Memory if is_unified => "memory.max",
            Controller::Memory => "memory.limit_in_bytes",
        }
    }
}

/// Parses a limit: a number, or `max` for none. Version 1 has no word for none in a memory limit, and shows the largest number
/// of bytes that are whole pages.
pub fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < i64::MAX as u64 - MOST_PAGE_SIZE)
}

/// No machine has larger pages.
pub const MOST_PAGE_SIZE: u64 = 1 << 20;

/// A hierarchy of cgroups, by its controllers: cgroups(7). In version 1 each controller has a hierarchy, perhaps with others; in
/// version 2 all share one, which is listed without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy(pub String);

impl Hierarchy {
    /// True if it is of version 2.
    pub fn is_unified(&self) -> bool {
        self.0.is_empty()
    }

    pub fn kind(&self) -> &'static str {
        if self.is_unified() { "cgroup2" } else { "cgroup" }
    }

    pub fn has(&self, controller: Controller) -> bool {
        self.0.split(',').any(|it| it == controller.name())
    }

    /// Returns the path of the cgroup that a `/proc/PID/cgroup` has for this hierarchy.
    pub fn path_in<'a>(&self, table: &'a str) -> Option<&'a str> {
        lines(table).find(|(controllers, _)| *controllers == self.0).map(|(_, path)| path)
    }

    pub fn is_mounted_at(&self, mount: &Mount) -> bool {
        let has = |controller| mount.super_options.split(',').any(|option| option == controller);
        mount.kind == self.kind() && (self.is_unified() || self.0.split(',').all(has))
    }

    /// Returns the options that mount(2) needs to mount it.
    pub fn options(&self) -> Option<&str> {
        (!self.is_unified()).then_some(&self.0)
    }
}

/// Splits the lines of a /proc/PID/cgroup, `NUMBER:CONTROLLERS:PATH`, into controllers and paths.
pub fn lines(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// Where cgroups of one hierarchy may be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Site {
    pub hierarchy: Hierarchy,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The directory of the cgroup that this process is in, and those above.
    pub places: Vec<PathBuf>,
}

/// Returns the hierarchies that are mounted.
pub fn sites(table: &str, mounts: &[Mount]) -> Vec<Site> {
    let site = |(controllers, path): (&str, &str)| {
        let hierarchy = Hierarchy(controllers.to_owned());
        // In a container only a part of the hierarchy may be mounted.
        let below = |mount: &Mount| Some(Path::new(path).strip_prefix(&mount.root).ok()?.to_owned());
        let found = mounts.iter().filter(|mount| hierarchy.is_mounted_at(mount));
        let (point, below) = found.filter_map(|mount| Some((mount.point.clone(), below(mount)?))).next()?;
        // Collecting drops the slash at the end of a joined empty path.
        let places = below.ancestors().map(|it| point.join(it).components().collect()).collect();
        Some(Site { hierarchy, point, places })
    };
    lines(table).filter_map(site).collect()
}

#[cfg(test)]
mod tests {
    use lab::mountinfo;

    use super::*;

    fn mount(root: &str, point: &str, kind: &str, super_options: &str) -> Mount {
        let line = format!("36 35 0:30 {root} {point} rw - {kind} {kind} {super_options}\n");
        mountinfo::parse(line.as_bytes()).remove(0)
    }

    fn site(hierarchy: &str, point: &str, places: &[&str]) -> Site {
        let places = places.iter().map(PathBuf::from).collect();
        Site { hierarchy: Hierarchy(hierarchy.into()), point: point.into(), places }
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let table = "12:cpu,cpuacct:/\n8:pids:/user/a:b\n4:memory:/user\n1:name=systemd:/user\n";
        let mounts = [
            mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            mount("/", "/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
            mount("/", "/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,name=systemd"),
        ];
        let expected = [
            site("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", &["/sys/fs/cgroup/cpu,cpuacct"]),
            site(
                "pids",
                "/sys/fs/cgroup/pids",
                &["/sys/fs/cgroup/pids/user/a:b", "/sys/fs/cgroup/pids/user", "/sys/fs/cgroup/pids"],
            ),
            site("name=systemd", "/sys/fs/cgroup/systemd", &["/sys/fs/cgroup/systemd/user", "/sys/fs/cgroup/systemd"]),
        ];
        assert_eq!(sites(table, &mounts), expected);
        assert_eq!(expected[1].hierarchy.path_in(table), Some("/user/a:b"));
        assert_eq!(Hierarchy(String::new()).path_in(table), None);
        assert_eq!(expected.map(|it| it.hierarchy.has(Controller::Pids)), [false, true, false]);
    }

    #[test]
    fn version_2_has_one_hierarchy() {
        let mounts = [mount("/", "/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")];
        let expected = [site("", "/sys/fs/cgroup", &["/sys/fs/cgroup/a.slice", "/sys/fs/cgroup"])];
        assert_eq!(sites("0::/a.slice\n", &mounts), expected);
        assert_eq!(expected[0].hierarchy.path_in("0::/a.slice\n"), Some("/a.slice"));
        assert_eq!((expected[0].hierarchy.kind(), expected[0].hierarchy.options()), ("cgroup2", None));
    }

    #[test]
    fn a_hybrid_machine_has_both_versions() {
        let mounts = [
            mount("/", "/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
            mount("/", "/sys/fs/cgroup/unified", "cgroup2", "rw"),
        ];
        let expected = [
            site("pids", "/sys/fs/cgroup/pids", &["/sys/fs/cgroup/pids"]),
            site("", "/sys/fs/cgroup/unified", &["/sys/fs/cgroup/unified"]),
        ];
        assert_eq!(sites("8:pids:/\n0::/\n", &mounts), expected);
        assert_eq!(expected[0].hierarchy.options(), Some("pids"));
    }

    #[test]
    fn of_a_hierarchy_mounted_in_part_there_is_no_more() {
        let table = "8:pids:/docker/x/y\n0::/\n";
        let part = mount("/docker/x", "/sys/fs/cgroup/pids", "cgroup", "rw,pids");
        let expected = [site("pids", "/sys/fs/cgroup/pids", &["/sys/fs/cgroup/pids/y", "/sys/fs/cgroup/pids"])];
        assert_eq!(sites(table, std::slice::from_ref(&part)), expected);
        let elsewhere = mount("/elsewhere", "/mnt", "cgroup", "rw,pids");
        assert_eq!(sites(table, std::slice::from_ref(&elsewhere)), []);
        assert_eq!(sites(table, &[elsewhere, part.clone()]), expected);
        assert_eq!(sites("", &[part]), []);
    }

    #[test]
    fn each_version_has_a_file_for_the_limit() {
        assert_eq!(Controller::ALL.map(|it| it.limit(false)), ["pids.max", "memory.limit_in_bytes"]);
        assert_eq!(Controller::ALL.map(|it| it.limit(true)), ["pids.max", "memory.max"]);
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
}
