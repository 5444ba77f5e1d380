//! Exercises about files: what is open, /dev, volumes, an overlay.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Context;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, major, minor};
use nix::sys::statvfs::{FsFlags, fstatvfs, statvfs};
use nix::unistd::{read, write};

use super::{Checked, flagged, judge, words};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{self, Exam, Setting, Trouble};
use crate::check::look::{self, Judged, Look, Sighting, how, look_with, nonce, shorten};
use crate::check::proc::{FileId, id_of};
use crate::check::verdict::{Failure, Verdict, fail, require};
use crate::mounts::Mount;

/// Exercise 8: what is open on the host is not open in the command.
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

/// Exercise 9: is there a /dev/null that swallows?
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
    let host = id_of(Path::new("/dev")).context("stat(\"/dev\")")?;
    let expected = "null, zero, full, random, urandom, tty, and no other device of the host's";
    let found = |what: String| Ok(Some(fail(Diagnosis::DevOfTheHost, what, expected)));
    let top = exam.host.open_inside(pid, "dev", OFlag::O_DIRECTORY).context("open(\"/dev\")")?;
    let mut folders = vec![("dev".to_owned(), top, DEPTH)];
    while let Some((path, folder, depth)) = folders.pop() {
        if FileId::from(fstat(&folder)?) == host {
            return found(format!("/proc/{pid}/root/{path} is the host's /dev"));
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

/// Exercise 9: is the rootfs as it was?
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

/// Where a volume goes; all sources of a rootfs have this folder.
const PLACE: &str = "/mnt";
/// The file in it.
const WITNESS: &str = "witness";

/// What was seen of a volume.
#[derive(Default)]
struct Volume {
    file: Option<FileId>,
    /// Is it where it should be, but in the host's `/`?
    is_outside: bool,
    is_read_only: bool,
    host_is_read_only: bool,
}

/// Runs the program with a volume, and gives the folder's file, the look, and what was seen.
fn look_at_volume(exam: &Exam, option: &str) -> Result<(FileId, Look, Volume), Trouble> {
    let folder = exam.scratch()?;
    let witness = folder.path().join(WITNESS);
    fs::write(&witness, "of the host").context("writing on the throwaway host")?;
    let volume = format!("{}:{PLACE}{option}", folder.path().display());
    let device = exam.mount_at(folder.path()).map(|it| it.device);
    let setting = Setting { flags: &["-v", &volume], ..Setting::default() };
    let (look, seen) = look_with(exam, &setting, |it| {
        let Ok(file) = exam.host.open_inside(it.command.pid, &format!("{PLACE}/{WITNESS}"), OFlag::O_PATH) else {
            let is_it = |mount: &Mount| mount.point == Path::new(PLACE) && Some(&mount.device) == device.as_ref();
            return Ok(Volume { is_outside: it.mounts.iter().any(is_it), ..Volume::default() });
        };
        let is_read_only = |flags: FsFlags| flags.contains(FsFlags::ST_RDONLY);
        Ok(Volume {
            file: Some(fstat(&file)?.into()),
            is_outside: false,
            is_read_only: is_read_only(fstatvfs(&file)?.flags()),
            host_is_read_only: is_read_only(statvfs(&witness)?.flags()),
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
    let path = format!("/proc/{}/root{PLACE}/{WITNESS}", sighting.command.pid);
    if volume.is_outside {
        let seen = format!("there is no {path}; but HOST is mounted to {PLACE} outside of the command's `/`");
        return Err(fail(Diagnosis::VolumeOutside, seen, format!("mounted to ./rootfs{PLACE}")).into());
    }
    let seen = match volume.file {
        None => format!("there is no {path}"),
        Some(_) => format!("{path} is another file than the one in HOST"),
    };
    Err(fail(Diagnosis::VolumeMissing, seen, "the file that is in HOST").into())
}

/// Exercise 11: is the host's folder there, to be written to?
pub fn a_volume_is_there(exam: &Exam) -> Checked {
    let (witness, look, volume) = look_at_volume(exam, "")?;
    judge(|| {
        volume_is_there(&look, witness, &volume)?;
        if volume.is_read_only {
            let seen = "without `:ro`, the volume is mounted read-only";
            return Err(fail(Diagnosis::FlagIgnored, seen, "what is written there is written on the host").into());
        }
        look::no_mount_is_left(&look)
    })
}

/// Exercise 11: can a volume be read-only?
pub fn a_volume_can_be_read_only(exam: &Exam) -> Checked {
    let (witness, look, volume) = look_at_volume(exam, ":ro")?;
    judge(|| {
        volume_is_there(&look, witness, &volume)?;
        if volume.host_is_read_only {
            let seen = "while the command ran, nobody could write to HOST on the host either";
            return Err(fail(Diagnosis::HostReadOnly, seen, "only the container's mount is read-only").into());
        }
        if !volume.is_read_only {
            let seen = format!("with `:ro`, {PLACE} is mounted rw");
            return Err(fail(Diagnosis::VolumeWritable, seen, "ro").into());
        }
        look::no_mount_is_left(&look)
    })
}

/// Exercise 16: is what one run writes gone before the next?
pub fn what_it_writes_is_gone(exam: &Exam) -> Checked {
    if let Some(verdict) = refuses_overlay(exam)? {
        return Ok(verdict);
    }
    let name = format!(".{}-wrote", nonce());
    let file = exam.folder().join("rootfs").join(&name);
    let write = format!("echo x >/{name} && echo written");
    let read = format!("if [ -e /{name} ]; then echo found; else echo nothing; fi");
    let run = |script: &str| -> Result<_, Trouble> {
        let mut run = exam.start(&Setting::default(), &words(&["sh", "-c", script]))?;
        let status = run.wait()?;
        Ok((run.out.text(), format!("it ended with {}, and wrote to stderr {}", how(status), shorten(&run.stderr()))))
    };
    let (wrote, how) = run(&write)?;
    if fs::remove_file(&file).is_ok() {
        let seen = format!("the command wrote /{name}, and afterwards there is a rootfs/{name}");
        return Ok(fail(Diagnosis::RootfsChanged, seen, "a rootfs as it was").into());
    }
    if wrote != "written\n" {
        let seen = format!("`{write}`: {how}");
        return Ok(fail(Diagnosis::RootfsReadOnly, seen, "written").into());
    }
    let (found, how) = run(&read)?;
    Ok(match found.as_str() {
        "nothing\n" => Verdict::Pass,
        "found\n" => {
            let seen = format!("the command wrote /{name}, and the next run found it");
            fail(Diagnosis::RootfsChanged, seen, "nothing of it").into()
        }
        _ => fail(Diagnosis::NeverRan, format!("the second run: {how}"), "a second run like the first").into(),
    })
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
