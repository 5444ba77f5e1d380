//! Finds what is wrong with a rootfs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::utsname::uname;

use super::target::resolve;

/// Returns why no step can run in the rootfs at `goal`, as the end of a sentence such as "has no /bin/sh".
pub fn flaw(goal: &Path) -> Option<String> {
    if is_missing(goal) {
        return Some("is missing".into());
    }
    let shell = resolve(goal, Path::new("bin/sh")).and_then(|path| Ok((path.metadata()?, path)));
    match (goal.metadata(), shell) {
        (Ok(metadata), _) if !metadata.is_dir() => Some("is not a directory".into()),
        (Err(error), _) if error.kind() == ErrorKind::NotFound => Some("is a link that leads nowhere".into()),
        (Err(error), _) => Some(format!("can't be read: {error}")),
        (_, Err(error)) if error.kind() == ErrorKind::PermissionDenied => Some(format!("can't be read: {error}")),
        (_, Ok((metadata, shell))) if metadata.is_file() => match foreign_architecture(&shell) {
            Some(name) => Some(format!("holds programs for {name}, which this kernel can't run")),
            // Step 4 mounts there.
            None if !is_directory(&goal.join("proc")) => Some("has no /proc directory".into()),
            None => is_noexec(goal).then(|| "is on a file system that is mounted noexec".into()),
        },
        _ => Some("has no /bin/sh".into()),
    }
}

/// True if there is nothing, or an empty directory.
pub fn is_missing(goal: &Path) -> bool {
    let is_nothing = goal.symlink_metadata().err().is_some_and(|error| error.kind() == ErrorKind::NotFound);
    is_nothing || fs::read_dir(goal).is_ok_and(|mut entries| entries.next().is_none())
}

/// True if there is a directory, and not a link to one, which may lead out of the rootfs.
pub fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// True if no program on this file system can be executed.
pub fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|disk| disk.flags().contains(FsFlags::ST_NOEXEC))
}

/// True if a container in that rootfs has a shell. Its links are absolute as the container sees them; followed from outside,
/// they would lead to this machine's own shell.
pub fn has_shell(rootfs: &Path) -> bool {
    resolve(rootfs, Path::new("bin/sh")).is_ok_and(|shell| shell.is_file())
}

/// Returns the architecture of a program if this kernel can't run it.
fn foreign_architecture(program: &Path) -> Option<String> {
    let kind = elf_kind(program)?;
    let [_, order, machine @ ..] = kind;
    let number = if order == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    // Most 64-bit kernels run 32-bit programs as well.
    let runs = match uname().ok()?.machine().as_encoded_bytes() {
        b"x86_64" => matches!(number, 3 | 62),
        b"aarch64" => matches!(number, 40 | 183),
        _ => elf_kind(Path::new("/proc/self/exe")) == Some(kind),
    };
    if runs || has_emulator(kind) {
        return None;
    }
    // linux/elf-em.h.
    let names =
        [(3, "x86"), (21, "powerpc64"), (22, "s390x"), (40, "arm"), (62, "x86_64"), (183, "aarch64"), (243, "riscv")];
    let name = names.iter().find(|(it, _)| *it == number);
    Some(name.map_or_else(|| format!("ELF machine {number}"), |(_, name)| (*name).to_owned()))
}

/// Returns the parts of a program's header that identify its architecture, elf(5): word size, byte order and machine.
fn elf_kind(program: &Path) -> Option<[u8; 4]> {
    let mut header = [0; 20];
    File::open(program).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    header.starts_with(b"\x7fELF").then_some([header[4], header[5], header[18], header[19]])
}

/// True if an emulator is registered for such programs, binfmt_misc(5). An entry has the first 20 bytes of a header.
fn has_emulator([size, order, first, second]: [u8; 4]) -> bool {
    let (ident, machine) = (format!("magic 7f454c46{size:02x}{order:02x}"), format!("{first:02x}{second:02x}"));
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    let entries = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    entries.into_iter().any(|text| text.lines().any(|it| it.starts_with(&ident) && it.get(42..46) == Some(&machine)))
}
