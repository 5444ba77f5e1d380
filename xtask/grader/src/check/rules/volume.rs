//! Exercise `volume`: a directory of the host's in the container.

use std::path::{Path, PathBuf};

use lab::procfs::{FileId, id_of};
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::fstat;
use nix::sys::statvfs::{FsFlags, Statvfs, fstatvfs, statvfs};

use super::*;

/// Where volumes are mounted, if the rootfs has the directory. Every rootfs that xtask makes has all of them.
const PLACES: [&str; 5] = ["/srv", "/mnt", "/opt", "/media", "/home"];

/// What is observed of a volume.
#[derive(Default)]
struct Volume {
    /// Where it should be.
    place: &'static str,
    /// The file in HOST, as the container sees it.
    file: Option<FileId>,
    /// True if the container shows a file created in HOST after the start.
    shows_new_files: bool,
    /// True if the container shows a file in a mount below HOST.
    shows_mounts: bool,
    /// True if it is mounted at that path, but outside the command's `/`.
    is_outside: bool,
    /// Where it is in the command's `/`, if that isn't the right place.
    elsewhere: Option<PathBuf>,
    is_read_only: bool,
    /// Where else it is in the command's `/`, and can be written to.
    writable_at: Option<PathBuf>,
    host_is_read_only: bool,
}

pub fn a_volume_is_there(sandbox: &Sandbox) -> Checked {
    let (_, Volume { place, .. }) = observe_volume(sandbox, "", false, "")?;
    let (evidence, volume) = observe_volume(sandbox, "", true, place)?;
    let expected = "a writable volume";
    require!(!volume.is_read_only, FlagIgnored, expected, "without `:ro`, the volume is mounted read-only");
    super::proc::no_mount_is_left(&evidence)
}

pub fn a_volume_can_be_read_only(sandbox: &Sandbox) -> Checked {
    let (evidence, volume) = observe_volume(sandbox, ":ro", false, "")?;
    let seen = "HOST was read-only on the host, too, while the command ran";
    require!(!volume.host_is_read_only, HostReadOnly, "only the container's mount read-only", "{seen}");
    require!(volume.is_read_only, VolumeWritable, "mounted ro", "with `:ro`, {} is mounted rw", volume.place);
    if let Some(point) = &volume.writable_at {
        let seen = format!("with `:ro`, HOST is also mounted at {}, rw", point.display());
        return Err(fail!(VolumeWritableElsewhere, "mounted ro everywhere", "{seen}"));
    }
    super::proc::no_mount_is_left(&evidence)?;
    a_volume_with_locked_flags_can_be_read_only(sandbox, volume.place)
}

/// A directory of the machine's sysfs, whose mount has flags that a user namespace may not take off: mount_namespaces(7).
const LOCKED: &str = "/sys/devices";

/// A remount that forgets `nosuid` fails with EPERM in a user namespace.
fn a_volume_with_locked_flags_can_be_read_only(sandbox: &Sandbox, place: &str) -> Checked {
    if !Path::new(LOCKED).is_dir() {
        return Ok(());
    }
    sandbox.given.borrow_mut().push(LOCKED.into());
    let flag = format!("{LOCKED}:{place}:ro");
    let (evidence, read_only) =
        observe_more(sandbox, &Invocation { flags: &["-v", &flag], ..Default::default() }, |command| {
            let mount = command.own_mounts.iter().rfind(|it| it.point == Path::new(place));
            Ok(mount.map(|it| (it.is_read_only(), it.options.clone())))
        })?;
    evidence.command_with("-v")?;
    let expected = format!("the host's {LOCKED}, read-only");
    let Some((is_read_only, options)) = read_only else {
        return Err(fail!(VolumeMissing, expected, "nothing is mounted at {place}"));
    };
    let seen = format!("with `-v {flag}`, the mount's options are {options}");
    require!(is_read_only, VolumeWritable, expected, "{seen}");
    Ok(())
}

/// Runs the program with a volume, and requires that it is there.
fn observe_volume(sandbox: &Sandbox, option: &str, with_mount: bool, last: &str) -> Checked<(Evidence, Volume)> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    let places: Vec<_> = PLACES
        .into_iter()
        .filter(|it| *it != last && is_directory(&sandbox.directory.join("rootfs").join(&it[1..])))
        .collect();
    if places.is_empty() {
        return Err(cannot_run("./rootfs has none of the usual directories", "Use another rootfs with `--source`."));
    }
    let place = sandbox.draw.pick(&places);
    let [name, later, below] = [(); 3].map(|()| sandbox.draw.word());
    let directory = sandbox.scratch()?;
    let (witness, below) = (directory.path.join(&name), directory.path.join(below));
    fs::write(&witness, "of the host").context("writing on the throwaway host")?;
    if with_mount {
        fs::create_dir(&below).context("mkdir on the throwaway host")?;
        sandbox.mount_tmpfs(&below)?;
        fs::write(below.join(&name), "").context("writing on the throwaway host")?;
    }
    let device = sandbox.mounts.borrow().iter().rfind(|it| it.point == directory.path).map(|it| it.device.clone());
    let flag = format!("{}:{place}{option}", directory.path.display());
    let invocation = Invocation { flags: &["-v", &flag], ..Default::default() };
    let is_read_only = |file_system: Statvfs| file_system.flags().contains(FsFlags::ST_RDONLY);
    let (evidence, volume) = observe_more(sandbox, &invocation, |command| {
        let volume = Volume { place, ..Volume::default() };
        let is_it = |mount: &&Mount| Some(&mount.device) == device.as_ref();
        let open = |path: &Path| sandbox.host.open_inside(command.pid(), &path.to_string_lossy(), OFlag::O_PATH);
        let place = Path::new(place);
        let Ok(file) = open(&place.join(&name)) else {
            return Ok(Volume {
                is_outside: command.mounts.iter().filter(is_it).any(|mount| mount.point == place),
                elsewhere: command.own_mounts.iter().find(is_it).map(|mount| mount.point.clone()),
                ..volume
            });
        };
        // The program may have made HOST read-only.
        let is_made = fs::write(directory.path.join(&later), "").is_ok();
        let elsewhere = command.own_mounts.iter().filter(is_it).filter(|it| it.point != place && !it.is_read_only());
        Ok(Volume {
            file: Some(fstat(&file)?.into()),
            shows_new_files: !is_made || open(&place.join(&later)).is_ok(),
            shows_mounts: !with_mount || open(&place.join(below.file_name().unwrap_or_default()).join(&name)).is_ok(),
            is_read_only: is_read_only(fstatvfs(&file)?),
            writable_at: elsewhere.map(|it| it.point.clone()).next(),
            host_is_read_only: is_read_only(statvfs(&witness)?),
            ..volume
        })
    })?;
    if with_mount {
        // The program may have unmounted it, which another rule reports.
        let _ = umount2(&below, MntFlags::MNT_DETACH);
    }
    let path = format!("/proc/{}/root{place}/{name}", evidence.command_with("-v")?.pid());
    if volume.is_outside {
        let seen = format!("{path} doesn't exist; HOST is mounted at {place}, outside the command's `/`");
        return Err(fail!(VolumeOutside, format!("mounted at ./rootfs{place}"), "{seen}"));
    }
    let seen = match (volume.file, &volume.elsewhere) {
        (None, None) => format!("{path} doesn't exist"),
        (None, Some(at)) => {
            format!("{path} doesn't exist; CONTAINER was {place}, but HOST is mounted at {}", at.display())
        }
        (Some(_), _) => format!("{path} is not the file in HOST"),
    };
    require!(volume.file == Some(id_of(&witness)?), VolumeMissing, "the file in HOST", "{seen}");
    let seen = format!("a file created in HOST while the command ran isn't in {place}");
    require!(volume.shows_new_files, VolumeNotADirectory, "the directory itself, including new files", "{seen}");
    let seen = format!("a mount below HOST is an empty directory in {place}");
    require!(volume.shows_mounts, MountsBelowMissing, "mounts below HOST included", "{seen}");
    Ok((evidence, volume))
}
