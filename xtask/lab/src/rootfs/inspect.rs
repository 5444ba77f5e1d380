//! What is wrong with a rootfs, if anything.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};

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
    // As long as the longer one of the two kinds.
    let mut header = [0; 64];
    File::open(program).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    if !header.starts_with(b"\x7fELF") || kernel_runs(&header).unwrap_or(true) {
        return None;
    }
    let machine = [header[18], header[19]];
    let machine = if header[5] == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    // elf(5) and linux/elf-em.h.
    Some(match machine {
        3 => "x86".into(),
        8 => "mips".into(),
        20 => "powerpc".into(),
        21 => "powerpc64".into(),
        22 => "s390x".into(),
        40 => "arm".into(),
        62 => "x86_64".into(),
        183 => "aarch64".into(),
        243 => "riscv".into(),
        258 => "loongarch".into(),
        other => format!("ELF machine {other}"),
    })
}

/// Asks the kernel if it runs programs of this kind, because only the kernel knows: some 64-bit kernels run 32-bit programs, and
/// others have an emulator, binfmt_misc(5). We start a program that has nothing but such a header and an interpreter that
/// doesn't exist. The kernel refuses a foreign program with ENOEXEC before it looks for the interpreter.
fn kernel_runs(header: &[u8; 64]) -> io::Result<bool> {
    let is_64 = header[4] == 2;
    let interpreter = b"/proc/none\0";
    let (file_header, program_header): (u16, u16) = if is_64 { (64, 56) } else { (52, 32) };
    // On some architectures these tell the kind, too.
    let flags = if is_64 { &header[48..52] } else { &header[36..40] };
    let long = |number: u16| match is_64 {
        true => u64::from(number).to_ne_bytes().to_vec(),
        false => u32::from(number).to_ne_bytes().to_vec(),
    };
    let short = |number: u16| number.to_ne_bytes().to_vec();
    let word = |number: u32| number.to_ne_bytes().to_vec();
    let (at, length) = (long(file_header + program_header), long(interpreter.len() as u16));
    // elf(5): PT_INTERP is 3, PF_R is 4, and 32-bit programs have the flags in another place.
    let (first, last) = if is_64 { (word(4), vec![]) } else { (vec![], word(4)) };
    let program = [
        header[..20].to_vec(),
        [word(1), long(0), long(file_header), long(0), flags.to_vec()].concat(),
        [file_header, program_header, 1, 0, 0, 0].map(short).concat(),
        [word(3), first, at.clone(), at.clone(), at, length.clone(), length, last, long(1)].concat(),
        interpreter.to_vec(),
    ];
    let mut file = File::from(memfd_create(c"program", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&program.concat())?;
    // The kernel doesn't execute a file that is open for writing.
    let path = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let program = File::open(path(&file))?;
    drop(file);
    let quiet = || Stdio::null();
    match Command::new(path(&program)).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn() {
        Ok(mut emulator) => emulator.wait().map(|_| true),
        Err(error) => Ok(error.raw_os_error() != Some(Errno::ENOEXEC as i32)),
    }
}
