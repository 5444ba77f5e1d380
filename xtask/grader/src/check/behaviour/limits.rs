//! The exercise about a cgroup. The examiner makes one for the run, and lets the program see nothing above that: so whatever it
//! makes there, none of it stays on the machine.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, read, unlinkat, write};

use super::{Checked, flagged, judge};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{self, CGROUPS, Exam, Setting};
use crate::check::look::look_with;
use crate::check::verdict::{Verdict, fail};
use crate::mounts::{self, Mount};

/// How many processes are asked for: another number each time, of three digits and odd, for what stands in a source is small or
/// round.
fn number() -> u32 {
    101 + 2 * (std::process::id() % 400)
}

/// In version 2, below the nursery: where the program starts, and where the examiner is meanwhile. Who is to give a controller to
/// children may not share its cgroup with anybody.
const START: &str = "start";
/// See [`START`].
const EXAMINER: &str = "examiner";
/// Moves itself there, and becomes the program.
const GO_TO_START: [&str; 4] = ["sh", "-c", r#"echo 0 >/sys/fs/cgroup/start/cgroup.procs && exec "$@""#, "sh"];

/// Exercise `limits`: is the command in a cgroup that limits it, and is that gone afterwards?
pub fn its_processes_are_limited(exam: &Exam) -> Checked {
    let nursery = match Nursery::make(exam)? {
        Ok(nursery) => nursery,
        Err(why) => {
            let cure =
                "It takes a cgroup that is yours: be root, or put `systemd-run --user --scope -p Delegate=yes` before \
                        the command."
                    .into();
            return Ok(Verdict::CannotRun { why, cure });
        }
    };
    let (flag, pids) = ("--pids", number());
    let around: &[&str] = if nursery.version == Version::Two { &GO_TO_START } else { &[] };
    let setting = Setting { flags: &[flag, &pids.to_string()], around, ..Setting::default() };
    let (look, seen) = look_with(exam, &setting, |it| {
        let table = exam.host.read(it.command.pid, "cgroup")?;
        let path = nursery.version.path_in(&String::from_utf8_lossy(&table)).unwrap_or_default();
        Ok((path.clone(), nursery.limit_of(Path::new(&path))?))
    })?;
    let left = nursery.made_by_others()?;
    judge(|| {
        let sighting = flagged(&look, flag)?;
        let (path, limit) = seen;
        let at = format!("/proc/{}/cgroup", sighting.command.pid);
        let folder = path.trim_start_matches('/');
        if folder.is_empty() || folder == START {
            let seen = format!("{at} is still the one that `run` was started in");
            return Err(fail(Diagnosis::NoLimit, seen, "a cgroup of its own").into());
        }
        let expected = format!("pids.max is {pids}, there or above");
        match limit {
            Some(limit) if limit == pids => {}
            Some(limit) if limit < pids => {
                let seen = format!("with `{flag} {pids}`, {at} is {path}, and pids.max {limit}");
                return Err(fail(Diagnosis::FlagIgnored, seen, expected).into());
            }
            Some(limit) => {
                let seen = format!("{at} is {path}, and pids.max {limit}");
                return Err(fail(Diagnosis::LimitTooHigh, seen, expected).into());
            }
            None => {
                let seen = format!("{at} is {path}, which has no limit");
                return Err(fail(Diagnosis::LimitTooHigh, seen, expected).into());
            }
        }
        if let Some(folder) = left.first() {
            let seen = format!("when `run` had ended, there was still a cgroup {folder}");
            return Err(fail(Diagnosis::CgroupLeft, seen, "none that was not there before").into());
        }
        Ok(Verdict::Pass)
    })
}

/// cgroups(7): in version 1 the pids controller has a tree, in version 2 all controllers share one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// With all the controllers of the tree, as they are mounted: `pids`.
    One(String),
    Two,
}

impl Version {
    /// Which cgroup of that tree does a `/proc/PID/cgroup` name?
    fn path_in(&self, table: &str) -> Option<String> {
        let wanted = match self {
            Version::One(controllers) => controllers.as_str(),
            Version::Two => "",
        };
        lines(table).find(|(controllers, _)| *controllers == wanted).map(|(_, path)| path.to_owned())
    }
}

/// `NUMBER:CONTROLLERS:PATH`, in version 2 without controllers.
fn lines(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// The folders in which a cgroup with the pids controller may be made, the nearest first: where this process is, and above.
fn places(table: &str, mounts: &[Mount]) -> Vec<(Version, PathBuf)> {
    let one = lines(table).find(|(controllers, _)| controllers.split(',').any(|it| it == "pids"));
    let two = lines(table).find(|(controllers, _)| controllers.is_empty());
    let versions =
        [one.map(|(all, path)| (Version::One(all.to_owned()), path)), two.map(|(_, path)| (Version::Two, path))];
    let mut places = Vec::new();
    for (version, path) in versions.into_iter().flatten() {
        let is_it = |mount: &&Mount| match &version {
            Version::One(all) => {
                mount.kind == "cgroup"
                    && all.split(',').all(|it| mount.super_options.split(',').any(|option| option == it))
            }
            Version::Two => mount.kind == "cgroup2",
        };
        // In a container it may be that only a part of the tree is mounted.
        let Some(mount) = mounts.iter().find(is_it) else { continue };
        let Ok(below) = Path::new(path).strip_prefix(&mount.root) else { continue };
        // The path of a folder, not of what is in it, which a slash at the end would be.
        let join = |it: &Path| if it == Path::new("") { mount.point.clone() } else { mount.point.join(it) };
        let folders = below.ancestors().map(join);
        places.extend(folders.map(|folder| (version.clone(), folder)));
    }
    places
}

/// A cgroup that is made for one run of the program.
struct Nursery<'a> {
    exam: &'a Exam,
    version: Version,
    /// The folder, and its name in its parent.
    folder: OwnedFd,
    parent: OwnedFd,
    name: String,
    /// `cgroup.procs` of where we come from, open since then: from inside of a cgroup namespace there is no way out.
    home: OwnedFd,
}

impl<'a> Nursery<'a> {
    /// Makes it where this process may, and moves in; or says why not.
    fn make(exam: &'a Exam) -> Result<Result<Nursery<'a>, String>> {
        exam::uncover_cgroups()?;
        let table = String::from_utf8_lossy(&exam.own("cgroup")?).into_owned();
        let places = places(&table, &mounts::parse(&exam.own("mountinfo")?));
        let mut refused = None;
        let mut home = None;
        for (version, place) in places {
            // Each version's first place is where we are.
            if home.as_ref().is_none_or(|(it, _)| *it != version) {
                home = Some((version.clone(), place.join("cgroup.procs")));
            }
            let Some((_, home)) = &home else { continue };
            match Nursery::make_at(exam, version, &place, home) {
                Ok(nursery) => {
                    let hidden = nursery.hide_what_is_above();
                    return Ok(hidden.map(|()| nursery).map_err(|error| format!("{error:#}")));
                }
                Err(error) => refused = refused.or(Some(format!("{error:#}"))),
            }
        }
        Ok(Err(refused.unwrap_or_else(|| "this machine has mounted no cgroups with a pids controller".into())))
    }

    fn make_at(exam: &'a Exam, version: Version, place: &Path, home: &Path) -> Result<Nursery<'a>> {
        let folder =
            |path: &Path| nix::fcntl::open(path, FOLDER, Mode::empty()).with_context(|| format!("open({path:?})"));
        let parent = folder(place)?;
        let home = nix::fcntl::open(home, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
            .with_context(|| format!("open({home:?})"))?;
        remove_stale(exam, &parent);
        let name = format!("{PREFIX}{}", std::process::id());
        let path = place.join(&name);
        fs::create_dir(&path).with_context(|| format!("mkdir({path:?})"))?;
        let made = folder(&path).and_then(|folder| {
            if version == Version::Two {
                let controllers = fs::read_to_string(path.join("cgroup.controllers"))?;
                let has_pids = controllers.split_whitespace().any(|it| it == "pids");
                ensure!(has_pids, "{} has no pids controller to give", place.display());
            }
            write_to(&folder, "cgroup.procs", "0").with_context(|| format!("write({path:?}/cgroup.procs)"))?;
            Ok(folder)
        });
        match made {
            Ok(folder) => Ok(Nursery { exam, version, folder, parent, name, home }),
            Err(error) => {
                let _ = unlinkat(&parent, name.as_str(), UnlinkatFlags::RemoveDir);
                Err(error)
            }
        }
    }

    /// From now on this cgroup is the top of the tree, for us and for the program.
    fn hide_what_is_above(&self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWCGROUP).context("unshare(CLONE_NEWCGROUP)")?;
        match &self.version {
            Version::One(controllers) => {
                self.exam.mount_tmpfs(Path::new(CGROUPS))?;
                let point = Path::new(CGROUPS).join("pids");
                fs::create_dir(&point).context("mkdir")?;
                let data = Some(controllers.as_str());
                mount(Some("cgroup"), &point, Some("cgroup"), MsFlags::empty(), data).context("mount(\"cgroup\")")?;
            }
            Version::Two => {
                mount(Some("cgroup2"), CGROUPS, Some("cgroup2"), MsFlags::empty(), None::<&str>)
                    .context("mount(\"cgroup2\")")?;
                for name in [START, EXAMINER] {
                    mkdirat(&self.folder, name, Mode::from_bits_truncate(0o755)).context("mkdir")?;
                }
                let examiner = open_folder(&self.folder, EXAMINER)?;
                write_to(&examiner, "cgroup.procs", "0").context("write(cgroup.procs)")?;
                write_to(&self.folder, "cgroup.subtree_control", "+pids").context("write(cgroup.subtree_control)")?;
            }
        }
        self.exam.take_stock()
    }

    /// The lowest limit from `path` up to here, here excluded.
    fn limit_of(&self, path: &Path) -> Result<Option<u32>> {
        let mut lowest: Option<u32> = None;
        let below = path.strip_prefix("/").unwrap_or(path);
        for folder in below.ancestors().filter(|it| !it.as_os_str().is_empty()) {
            let file = folder.join("pids.max");
            // `max`, or a number.
            let Ok(text) = read_from(&self.folder, &file) else { continue };
            if let Ok(limit) = text.trim().parse() {
                lowest = Some(lowest.map_or(limit, |it| it.min(limit)));
            }
        }
        Ok(lowest)
    }

    /// The cgroups below, but for ours.
    fn made_by_others(&self) -> nix::Result<Vec<String>> {
        let mut others = folders(&self.folder)?;
        if self.version == Version::Two {
            others.retain(|name| ![START, EXAMINER].contains(&name.as_str()));
            others.extend(folders(open_folder(&self.folder, START)?)?);
        }
        Ok(others)
    }
}

impl Drop for Nursery<'_> {
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        let _ = write(&self.home, b"0");
        self.exam.close();
        let start = Instant::now();
        // Those who were killed are in there until they have ended.
        while remove(&self.parent, &self.name) == Err(Errno::EBUSY) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);
const PREFIX: &str = "mini-docker-exam-";

fn open_folder(parent: impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    openat(parent, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())
}

fn write_to(folder: impl AsFd, name: &str, text: &str) -> nix::Result<()> {
    let file = openat(folder, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(file, text.as_bytes()).map(drop)
}

fn read_from(folder: impl AsFd, path: &Path) -> nix::Result<String> {
    let file = openat(folder, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = [0; 64];
    let length = read(file, &mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

fn folders(folder: impl AsFd) -> nix::Result<Vec<String>> {
    let mut folder = Dir::openat(folder, ".", FOLDER, Mode::empty())?;
    let entries = folder.iter().filter_map(Result::ok).filter(|entry| entry.file_type() == Some(Type::Directory));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "." && name != "..").collect())
}

/// Removes a cgroup, and all below.
fn remove(parent: impl AsFd, name: &str) -> nix::Result<()> {
    let parent = parent.as_fd();
    let folder = open_folder(parent, name)?;
    for inner in folders(&folder)? {
        remove(&folder, &inner)?;
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}

/// Removes what an examiner left that was killed itself.
fn remove_stale(exam: &Exam, parent: &OwnedFd) {
    for name in folders(parent).unwrap_or_default() {
        let examiner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok());
        if examiner.is_some_and(|pid| !exam.is_on_machine(pid)) {
            let _ = remove(parent, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str, point: &str, kind: &str, super_options: &str) -> Mount {
        let line = format!("36 35 0:30 {root} {point} rw - {kind} {kind} {super_options}\n");
        mounts::parse(line.as_bytes()).remove(0)
    }

    fn found(table: &str, mounts: &[Mount]) -> Vec<(Version, String)> {
        places(table, mounts).into_iter().map(|(version, path)| (version, path.display().to_string())).collect()
    }

    #[test]
    fn version_1_has_a_tree_for_pids() {
        let table = "12:cpu,cpuacct:/\n8:pids:/user/a:b\n1:name=systemd:/user\n";
        let one = Version::One("pids".into());
        let mounts = [
            mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            mount("/", "/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
        ];
        let folders = ["/sys/fs/cgroup/pids/user/a:b", "/sys/fs/cgroup/pids/user", "/sys/fs/cgroup/pids"];
        assert_eq!(found(table, &mounts), folders.map(|folder| (one.clone(), folder.to_owned())));
        assert_eq!(one.path_in(table).as_deref(), Some("/user/a:b"));
        assert_eq!(Version::Two.path_in(table), None);
    }

    #[test]
    fn version_2_has_one_tree() {
        let mounts = [mount("/", "/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")];
        let folders = ["/sys/fs/cgroup/a.slice", "/sys/fs/cgroup"];
        assert_eq!(found("0::/a.slice\n", &mounts), folders.map(|folder| (Version::Two, folder.to_owned())));
        assert_eq!(Version::Two.path_in("0::/a.slice\n").as_deref(), Some("/a.slice"));
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
