//! Exercise `volume`: a directory of the host's in the container.

use std::path::{Path, PathBuf};

use lab::procfs::{FileId, id_of};
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::sys::statvfs::{FsFlags, Statvfs, fstatvfs, statvfs};

use super::*;

/// Where volumes are mounted: those of these directories that the rootfs has. All that xtask makes have all of them.
const PLACES: [&str; 3] = ["/srv", "/mnt", "/opt"];
/// The file in the volume.
const WITNESS: &str = "witness";

/// What is observed of a volume.
#[derive(Default)]
struct Volume {
    /// Where it should be.
    place: &'static str,
    file: Option<FileId>,
    /// It is in the right place, but in the host's `/`.
    is_outside: bool,
    /// Where it is in the command's `/`, if that isn't the right place.
    elsewhere: Option<PathBuf>,
    is_read_only: bool,
    host_is_read_only: bool,
    /// Where on the host something was mounted while the command waited.
    on_the_host: Option<PathBuf>,
}

pub fn a_volume_is_there(sandbox: &Sandbox) -> Checked {
    let (evidence, volume) = observe_volume(sandbox, 0, "")?;
    let expected = "what is written there is written on the host";
    require!(!volume.is_read_only, FlagIgnored, expected, "without `:ro`, the volume is mounted read-only");
    it_is_not_on_the_host(&evidence, &volume)
}

pub fn a_volume_can_be_read_only(sandbox: &Sandbox) -> Checked {
    let (evidence, volume) = observe_volume(sandbox, 1, ":ro")?;
    let seen = "while the command ran, nobody could write to HOST on the host either";
    require!(!volume.host_is_read_only, HostReadOnly, "only the container's mount is read-only", "{seen}");
    require!(volume.is_read_only, VolumeWritable, "ro", "with `:ro`, {} is mounted rw", volume.place);
    it_is_not_on_the_host(&evidence, &volume)
}

/// Runs the program with a volume, and requires that it is there. Each `number` has another place, because a program may have
/// one in its source.
fn observe_volume<'a>(sandbox: &'a Sandbox, number: usize, option: &str) -> Checked<(Evidence<'a>, Volume)> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    let places = PLACES.into_iter().filter(|it| is_directory(&sandbox.directory.join("rootfs").join(&it[1..])));
    let place = places.cycle().nth(number).context("./rootfs has none of the usual folders")?;
    let directory = sandbox.scratch()?;
    let witness = directory.path.join(WITNESS);
    fs::write(&witness, "of the host").context("writing on the throwaway host")?;
    let device = sandbox.mounts_before().into_iter().rfind(|it| it.point == directory.path).map(|it| it.device);
    let flag = format!("{}:{place}{option}", directory.path.display());
    let invocation = Invocation { flags: &["-v", &flag], ..Default::default() };
    let is_read_only = |file_system: Statvfs| file_system.flags().contains(FsFlags::ST_RDONLY);
    let (evidence, volume) = observe_more(sandbox, &invocation, |command| {
        let on_the_host = sandbox.new_mounts()?.into_iter().next().map(|mount| mount.point);
        let volume = Volume { place, on_the_host, ..Volume::default() };
        let Ok(file) = sandbox.host.open_inside(command.pid(), &format!("{place}/{WITNESS}"), OFlag::O_PATH) else {
            let is_it = |mount: &&Mount| Some(&mount.device) == device.as_ref();
            return Ok(Volume {
                is_outside: command.mounts.iter().filter(is_it).any(|mount| mount.point == Path::new(place)),
                elsewhere: command.own_mounts.iter().find(is_it).map(|mount| mount.point.clone()),
                ..volume
            });
        };
        Ok(Volume {
            file: Some(fstat(&file)?.into()),
            is_read_only: is_read_only(fstatvfs(&file)?),
            host_is_read_only: is_read_only(statvfs(&witness)?),
            ..volume
        })
    })?;
    let path = format!("/proc/{}/root{place}/{WITNESS}", evidence.command_with("-v")?.pid());
    if volume.is_outside {
        let seen = format!("there is no {path}; but HOST is mounted to {place} outside of the command's `/`");
        return Err(fail!(VolumeOutside, format!("mounted to ./rootfs{place}"), "{seen}"));
    }
    let seen = match (volume.file, &volume.elsewhere) {
        (None, None) => format!("there is no {path}"),
        (None, Some(at)) => format!("CONTAINER was {place}, and there is no {path}; but HOST is at {}", at.display()),
        (Some(_), _) => format!("{path} is another file than the one in HOST"),
    };
    require!(volume.file == Some(id_of(&witness)?), VolumeMissing, "the file that is in HOST", "{seen}");
    Ok((evidence, volume))
}

/// On the host nothing is mounted, neither meanwhile nor afterwards.
fn it_is_not_on_the_host(evidence: &Evidence<'_>, volume: &Volume) -> Checked {
    super::proc::no_mount_is_left(evidence)?;
    let Some(point) = &volume.on_the_host else { return Ok(()) };
    let seen = format!("while the command ran, something was mounted at {} on the host", point.display());
    Err(fail!(MountedOnTheHost, "nothing, for only the container is to see it there", "{seen}"))
}
