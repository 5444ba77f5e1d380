//! Exercises about files: what is open, /dev, volumes, an overlay.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, major, minor};
use nix::sys::statvfs::{FsFlags, fstatvfs, statvfs};
use nix::unistd::{read, write};

use super::{Checked, PATIENCE, flagged, judge, must, words};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{self, Exam, Setting, Trouble};
use crate::check::look::{self, Judged, Look, Sighting, how, look_with, nonce, shorten};
use crate::check::verdict::{Failure, Verdict, fail, require};
use crate::mounts::{self, Mount};
use lab::procfs::{FileId, Process, id_of};

/// Exercise `clean`: what is open on the host is not open in the command.
pub fn its_descriptors_are_its_own(exam: &Exam) -> Checked {
    // One at the first free number, and one where a short loop does not come.
    let low = File::open("/").context("open(\"/\")")?;
    exam::leak(&low)?;
    fcntl(&low, FcntlArg::F_DUPFD(500)).context("fcntl(F_DUPFD)")?;
    let (look, open) = look_with(exam, &Setting::default(), |it| {
        let pid = it.command.pid;
        let above = exam.host.descriptors(pid)?.into_iter().filter(|fd| *fd > 2);
        let lead = |fd| (fd, exam.host.link(pid, &format!("fd/{fd}")).unwrap_or_default());
        Ok(above.map(lead).collect::<Vec<_>>())
    })?;
    judge(|| {
        let sighting = look.sighting()?;
        Ok(require(open.is_empty(), || {
            let pid = sighting.command.pid;
            let lines = open.iter().map(|(fd, to)| format!("/proc/{pid}/fd/{fd} leads to {}", to.display()));
            fail(Diagnosis::DescriptorsLeaked, lines.collect::<Vec<_>>().join(", "), "0, 1 and 2, and no others")
        }))
    })
}

/// Exercise `dev`: is there a /dev/null that swallows?
pub fn dev_null_swallows(exam: &Exam) -> Checked {
    // What a program that went wrong has left there is not this one's; and what this one leaves goes with the host.
    exam.mount_tmpfs(&exam.folder().join("rootfs/dev"))?;
    let (look, wrong) = look_with(exam, &Setting::default(), |it| {
        Ok(match dev_null(exam, it) {
            Some(wrong) => Some(wrong),
            None => dev_of_the_host(exam, it)?,
        })
    })?;
    judge(|| {
        look.sighting()?;
        Ok(wrong.map_or(Verdict::Pass, Verdict::Fail))
    })
}

/// What a container may have of devices, by their numbers: null, zero, full, random, urandom, tty, ptmx. And terminals of its
/// own, which come of a devpts.
const USUAL: [(u64, u64); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
const PTS: RangeInclusive<u64> = 136..=143;
/// How deep in /dev it is looked. On the host a disk is at the top, or a folder below, as for device mapper.
const DEPTH: u32 = 3;

/// Is the command's /dev the host's, or is anything in it that a container should not have?
fn dev_of_the_host(exam: &Exam, sighting: &Sighting) -> anyhow::Result<Option<Failure>> {
    let pid = sighting.command.pid;
    let host = folders_of_hosts_dev()?;
    let expected = "null, zero, full, random, urandom, tty, and no other device of the host's";
    let found = |what: String| Ok(Some(fail(Diagnosis::DevOfTheHost, what, expected)));
    let top = exam.host.open_inside(pid, "dev", OFlag::O_DIRECTORY).context("open(\"/dev\")")?;
    let mut folders = vec![("dev".to_owned(), top, DEPTH)];
    while let Some((path, folder, depth)) = folders.pop() {
        let id = FileId::from(fstat(&folder)?);
        if let Some((_, name)) = host.iter().find(|(it, _)| *it == id) {
            return found(format!("/proc/{pid}/root/{path} is the host's {}", name.display()));
        }
        let mut entries = Dir::from_fd(folder.try_clone()?)?;
        for entry in entries.iter().filter_map(Result::ok) {
            let name = entry.file_name();
            // It is told by its number, and not opened: some devices do something then.
            let Ok(file) = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let path = format!("{path}/{}", name.to_string_lossy());
            let number = (major(file.st_rdev), minor(file.st_rdev));
            match SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT {
                SFlag::S_IFBLK => {
                    return found(format!("/proc/{pid}/root/{path} is block device {}:{}", number.0, number.1));
                }
                SFlag::S_IFCHR if !USUAL.contains(&number) && !PTS.contains(&number.0) => {
                    return found(format!("/proc/{pid}/root/{path} is device {}:{}", number.0, number.1));
                }
                SFlag::S_IFDIR if depth > 0 && ![".", ".."].contains(&name.to_string_lossy().as_ref()) => {
                    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    folders.extend(openat(&folder, name, flags, Mode::empty()).map(|it| (path, it, depth - 1)));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// The host's /dev and the folders in it, as deep as that is looked at. But for /dev/mqueue: a file system of that kind is the
/// IPC namespace's, whoever mounts it, and a namespace of that kind is not asked for.
fn folders_of_hosts_dev() -> anyhow::Result<Vec<(FileId, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::from("/dev"), DEPTH)];
    while let Some((path, depth)) = folders.pop() {
        // What has gone meanwhile was not bound, either.
        let Ok(id) = id_of(&path) else { continue };
        if depth > 0
            && let Ok(entries) = fs::read_dir(&path)
        {
            let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_dir());
            let inner = entries.filter_map(Result::ok).filter(is_folder).map(|entry| entry.path());
            folders.extend(inner.filter(|path| path != Path::new("/dev/mqueue")).map(|path| (path, depth - 1)));
        }
        found.push((id, path));
    }
    Ok(found)
}

/// What is wrong with the command's /dev/null, if anything is.
fn dev_null(exam: &Exam, sighting: &Sighting) -> Option<Failure> {
    let pid = sighting.command.pid;
    let expected = "a character device, number 1:3, that can be opened";
    let refused = |errno: Errno| {
        let seen = format!("/proc/{pid}/root/dev/null: {errno}");
        fail(Diagnosis::NoDevNull, seen, expected)
    };
    let file = match exam.host.open_inside(pid, "dev/null", OFlag::O_PATH).and_then(fstat) {
        Ok(file) => file,
        Err(errno) => return Some(refused(errno)),
    };
    let kind = SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFCHR || (major(file.st_rdev), minor(file.st_rdev)) != (1, 3) {
        let what = match kind {
            SFlag::S_IFCHR => format!("device {}:{}", major(file.st_rdev), minor(file.st_rdev)),
            SFlag::S_IFREG => format!("a file of {} bytes", file.st_size),
            _ => "no device".to_owned(),
        };
        return Some(fail(Diagnosis::DevNullIsAFile, format!("/proc/{pid}/root/dev/null is {what}"), expected));
    }
    // On a file system that is mounted nodev it is there, and nobody can open it.
    let works = exam.host.open_inside(pid, "dev/null", OFlag::O_RDWR).and_then(|null| {
        write(&null, b"x")?;
        read(&null, &mut [0; 8])
    });
    works.err().map(refused)
}

/// Exercise `dev`: is the rootfs as it was?
pub fn nothing_stays_in_dev(exam: &Exam) -> Checked {
    let dev = exam.folder().join("rootfs/dev");
    exam.mount_tmpfs(&dev)?;
    let look = look::look(exam)?;
    let left = fs::read_dir(&dev).context("reading ./rootfs/dev")?.filter_map(|entry| Some(entry.ok()?.file_name()));
    let left: Vec<_> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    judge(|| {
        look.sighting()?;
        Ok(require(left.is_empty(), || {
            fail(Diagnosis::DevLeft, format!("in ./rootfs/dev afterwards: {}", left.join(", ")), "an empty folder")
        }))
    })
}

/// Where volumes go: of these, folders that the rootfs has. All that xtask makes have all of them.
const PLACES: [&str; 3] = ["/srv", "/mnt", "/opt"];
/// The file in it.
const WITNESS: &str = "witness";

/// What was seen of a volume.
#[derive(Default)]
struct Volume {
    /// Where it should be.
    place: &'static str,
    file: Option<FileId>,
    /// Is it where it should be, but in the host's `/`?
    is_outside: bool,
    /// Where in the command's `/` it is, if it is elsewhere.
    elsewhere: Option<PathBuf>,
    is_read_only: bool,
    host_is_read_only: bool,
    /// Where on the host something was mounted while the command waited.
    on_the_host: Option<PathBuf>,
}

/// Runs the program with a volume, and gives the folder's file, the look, and what was seen. Each run that has another `number`
/// has it at another place, for who has one in the source.
fn look_at_volume(exam: &Exam, number: usize, option: &str) -> Result<(FileId, Look, Volume), Trouble> {
    let is_in_rootfs =
        |place: &&str| fs::symlink_metadata(exam.folder().join("rootfs").join(&place[1..])).is_ok_and(|it| it.is_dir());
    let places: Vec<_> = PLACES.into_iter().filter(is_in_rootfs).collect();
    let place = *places.get(number % places.len().max(1)).context("./rootfs has none of the usual folders")?;
    let folder = exam.scratch()?;
    let witness = folder.path().join(WITNESS);
    fs::write(&witness, "of the host").context("writing on the throwaway host")?;
    let volume = format!("{}:{place}{option}", folder.path().display());
    let device = exam.mount_at(folder.path()).map(|it| it.device);
    let setting = Setting { flags: &["-v", &volume], ..Setting::default() };
    let (look, seen) = look_with(exam, &setting, |it| {
        let on_the_host = exam.new_mounts()?.into_iter().next().map(|mount| mount.point);
        let seen = Volume { place, on_the_host, ..Volume::default() };
        let Ok(file) = exam.host.open_inside(it.command.pid, &format!("{place}/{WITNESS}"), OFlag::O_PATH) else {
            let is_it = |mount: &&Mount| Some(&mount.device) == device.as_ref();
            return Ok(Volume {
                is_outside: it.mounts.iter().filter(is_it).any(|mount| mount.point == Path::new(place)),
                elsewhere: it.own_mounts.iter().find(is_it).map(|mount| mount.point.clone()),
                ..seen
            });
        };
        let is_read_only = |flags: FsFlags| flags.contains(FsFlags::ST_RDONLY);
        Ok(Volume {
            file: Some(fstat(&file)?.into()),
            is_read_only: is_read_only(fstatvfs(&file)?.flags()),
            host_is_read_only: is_read_only(statvfs(&witness)?.flags()),
            ..seen
        })
    })?;
    Ok((id_of(&witness)?, look, seen))
}

/// Both kinds of volume: the same file, inside as outside.
fn volume_is_there(look: &Look, witness: FileId, volume: &Volume) -> Judged {
    let sighting = flagged(look, "-v")?;
    if volume.file == Some(witness) {
        return Ok(Verdict::Pass);
    }
    let place = volume.place;
    let path = format!("/proc/{}/root{place}/{WITNESS}", sighting.command.pid);
    if volume.is_outside {
        let seen = format!("there is no {path}; but HOST is mounted to {place} outside of the command's `/`");
        return Err(fail(Diagnosis::VolumeOutside, seen, format!("mounted to ./rootfs{place}")).into());
    }
    let seen = match (volume.file, &volume.elsewhere) {
        (None, None) => format!("there is no {path}"),
        (None, Some(elsewhere)) => {
            format!("CONTAINER was {place}, and there is no {path}; but HOST is at {}", elsewhere.display())
        }
        (Some(_), _) => format!("{path} is another file than the one in HOST"),
    };
    Err(fail(Diagnosis::VolumeMissing, seen, "the file that is in HOST").into())
}

/// Both kinds of volume: on the host nothing is mounted, neither meanwhile nor afterwards.
fn volume_is_not_on_the_host(look: &Look, volume: &Volume) -> Judged {
    must(look::no_mount_is_left(look))?;
    match &volume.on_the_host {
        None => Ok(Verdict::Pass),
        Some(point) => {
            let seen = format!("while the command ran, something was mounted at {} on the host", point.display());
            Err(fail(Diagnosis::MountedOnTheHost, seen, "nothing, for only the container is to see it there").into())
        }
    }
}

/// Exercise `volume`: is the host's folder there, to be written to?
pub fn a_volume_is_there(exam: &Exam) -> Checked {
    let (witness, look, volume) = look_at_volume(exam, 0, "")?;
    judge(|| {
        volume_is_there(&look, witness, &volume)?;
        if volume.is_read_only {
            let seen = "without `:ro`, the volume is mounted read-only";
            return Err(fail(Diagnosis::FlagIgnored, seen, "what is written there is written on the host").into());
        }
        volume_is_not_on_the_host(&look, &volume)
    })
}

/// Exercise `volume`: can a volume be read-only?
pub fn a_volume_can_be_read_only(exam: &Exam) -> Checked {
    let (witness, look, volume) = look_at_volume(exam, 1, ":ro")?;
    judge(|| {
        volume_is_there(&look, witness, &volume)?;
        if volume.host_is_read_only {
            let seen = "while the command ran, nobody could write to HOST on the host either";
            return Err(fail(Diagnosis::HostReadOnly, seen, "only the container's mount is read-only").into());
        }
        if !volume.is_read_only {
            let seen = format!("with `:ro`, {} is mounted rw", volume.place);
            return Err(fail(Diagnosis::VolumeWritable, seen, "ro").into());
        }
        volume_is_not_on_the_host(&look, &volume)
    })
}

/// Exercise `overlay`: is what one run writes gone before the next?
pub fn what_it_writes_is_gone(exam: &Exam) -> Checked {
    if let Some(verdict) = refuses_overlay(exam)? {
        return Ok(verdict);
    }
    let name = format!(".{}-wrote", nonce());
    let file = exam.folder().join("rootfs").join(&name);
    let write = format!("echo x >/{name} && echo written");
    let read = format!("if [ -e /{name} ]; then echo found; else echo nothing; fi");
    // Its end is waited for, so that what is mounted meanwhile can be read.
    let run = |script: &str| -> Result<_, Trouble> {
        let script = format!("{script}; read word");
        let command = ["sh", "-c", &script];
        let mut run = exam.start(&Setting::default(), &words(&command))?;
        let is_it = |it: &Process| it.has_line(&command);
        let mut layers = None;
        run.watch(PATIENCE, |run| {
            // Not before it has written, for a shell's words are there before its root is another.
            let has_said = run.out.text().lines().any(|it| ["written", "found", "nothing"].contains(&it));
            let command = exam.guests()?.into_iter().find(is_it).filter(|_| has_said);
            layers = command.and_then(|it| exam.host.read(it.pid, "mountinfo").ok()).map(|it| mounts::parse(&it));
            Ok((layers.is_some() || run.status().is_some()).then_some(()))
        })?;
        run.end_input();
        let status = run.wait()?;
        let how = format!("it ended with {}, and wrote to stderr {}", how(status), shorten(&run.stderr()));
        // What else the program says is no fault.
        let said = |word: &str| run.out.text().lines().any(|line| line == word);
        Ok((["written", "nothing", "found"].into_iter().find(|it| said(it)), how, layers.unwrap_or_default()))
    };
    let (wrote, how, layers) = run(&write)?;
    if fs::remove_file(&file).is_ok() {
        let seen = format!("the command wrote /{name}, and afterwards there is a rootfs/{name}");
        return Ok(fail(Diagnosis::RootfsChanged, seen, "a rootfs as it was").into());
    }
    if wrote != Some("written") {
        let seen = format!("`{write}`: {how}");
        return Ok(fail(Diagnosis::RootfsReadOnly, seen, "written").into());
    }
    let (found, how, _) = run(&read)?;
    match found {
        Some("nothing") => {}
        Some("found") => {
            let seen = format!("the command wrote /{name}, and the next run found it");
            return Ok(fail(Diagnosis::RootfsChanged, seen, "nothing of it").into());
        }
        _ => {
            let seen = format!("the second run: {how}");
            return Ok(fail(Diagnosis::NeverRan, seen, "a second run like the first").into());
        }
    }
    let left = upper_layers(&layers).map(|upper| exam.folder().join(upper).join(&name)).find(|it| it.exists());
    Ok(require(left.is_none(), || {
        let at = left.unwrap_or_default();
        let seen = format!("the command wrote /{name}, and afterwards that is on the host: {}", at.display());
        let failure = fail(Diagnosis::UpperLeft, seen, "nothing of it");
        let _ = fs::remove_file(at);
        failure
    }))
}

/// Where the overlays among these mounts have their upper layers, in the words of whoever mounted them.
fn upper_layers(mounts: &[Mount]) -> impl Iterator<Item = &Path> {
    let overlays = mounts.iter().filter(|mount| mount.kind == "overlay");
    overlays.flat_map(|it| it.super_options.split(',')).filter_map(|it| it.strip_prefix("upperdir=")).map(Path::new)
}

/// Why this machine has no overlay for the throwaway host, if so: it is tried.
fn refuses_overlay(exam: &Exam) -> anyhow::Result<Option<Verdict>> {
    let scratch = exam.scratch()?;
    let at = |name: &str| scratch.path().join(name);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(at(name)).context("mkdir on the throwaway host")?;
    }
    let at = |name: &str| at(name).display().to_string();
    let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let try_it = |data: &str| {
        mount(Some("overlay"), Path::new(&at("merged")), Some("overlay"), MsFlags::empty(), Some(OsStr::new(data)))
    };
    let refused = try_it(&format!("{layers},userxattr")).or_else(|_| try_it(&layers)).err();
    Ok(refused.map(|errno| Verdict::CannotRun {
        why: format!("the kernel refuses an overlay: {errno}"),
        cure: "In a user namespace it takes Linux 5.11: use root, or a newer kernel.".into(),
    }))
}
