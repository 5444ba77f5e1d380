//! A tarball or a folder that may come from anybody. Nothing of it is written outside of the folder that it is to fill, and
//! what it costs is limited.
//!
//! tar(1) keeps inside what has an absolute name, a `..`, or a link in its way. All else is for us to see to: a tarball is
//! read to its end before anything of it is written, with the [`LIMITS`] in mind, and what is written is looked at once more.
//! Not every tar keeps hard links inside, so these are looked for, too.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::statvfs::statvfs;

/// How large a rootfs may be that we make.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files, folders, links and so on.
    pub entries: u64,
    /// What all files are long together, and what a tarball is long when it is decompressed.
    pub bytes: u64,
    /// What must remain of the disk, in bytes.
    pub spare: u64,
}

/// Far more than any distribution's rootfs; little enough that a bomb is an annoyance, and no more.
pub const LIMITS: Limits = Limits { entries: 200_000, bytes: 2 << 30, spare: 64 << 20 };

/// A path in a rootfs, in bytes. With that of the rootfs before it, it must fit into PATH_MAX, which is 4096.
const LONGEST_PATH: usize = 2048;

/// What tar may take, in bytes: for it keeps a name in memory, and that may be as long as the tarball.
const MEMORY: u64 = 1 << 30;

/// What to do with a rootfs that is too large.
const CURE: &str = "if you trust it, unpack it into ./rootfs yourself";

impl Limits {
    fn too_many(&self) -> String {
        format!("it has more than {} files and folders: {CURE}", self.entries)
    }

    fn too_large(&self) -> String {
        format!("it is larger than {} MiB: {CURE}", self.bytes >> 20)
    }

    /// Is a rootfs of so many bytes too large, in itself or for the disk?
    fn check(&self, bytes: u64, room: u64) -> Result<()> {
        ensure!(bytes <= self.bytes, self.too_large());
        ensure!(bytes <= room, "it would leave less than {} MiB of the disk free", self.spare >> 20);
        Ok(())
    }

    /// How many bytes may be written on the disk that the folder `new` is on.
    fn room(&self, new: &Path) -> Result<u64> {
        let disk = statvfs(new).with_context(|| format!("statvfs({})", new.display()))?;
        Ok((disk.blocks_available() * disk.fragment_size()).saturating_sub(self.spare))
    }
}

/// Unpacks a tarball into the folder `new`: without owners, which a user namespace of one user can't have; with the modes,
/// which should not depend on the umask; and without what is in /dev, which only root can make.
///
/// # Errors
/// When it is none, or beyond the limits.
pub fn unpack(tarball: &Path, new: &Path, limits: &Limits) -> Result<()> {
    let open = || File::open(tarball).with_context(|| format!("opening {}", tarball.display()));
    let mut start = [0; 6];
    let length = open()?.read(&mut start)?;
    ensure!(length > 0, "it is empty");
    let packer = packer(&start[..length]);
    let room = limits.room(new)?;
    for tar in [tar(&["-t", "-f", "-"], limits), extract(new, limits)] {
        // Without a packer there is a program all the same, for one way to go.
        let mut unpack = Command::new(packer.unwrap_or("cat"));
        unpack.args(packer.map(|_| "-dc")).stdin(open()?);
        pass_through(unpack, tar, limits, room)?;
    }
    Ok(())
}

/// Copies a folder in the same way. What is mounted in it stays there.
///
/// # Errors
/// When it can't be read, or is beyond the limits.
pub fn copy_folder(folder: &Path, new: &Path, limits: &Limits) -> Result<()> {
    let inside = new.canonicalize()?.starts_with(folder.canonicalize()?);
    ensure!(!inside, "the rootfs would lie inside of its own source");
    let room = limits.room(new)?;
    limits.check(walk(folder, limits, |_, _| Ok(()))?.bytes, room)?;
    let mut pack = tar(&["-c", "-f", "-"], limits);
    pack.args(is_gnu_tar().then_some("--one-file-system")).arg("-C").arg(folder).arg(".");
    pass_through(pack, extract(new, limits), limits, room)
}

/// Takes from what was unpacked whatever could harm outside of a container: set-user-ID bits, which root's copy of somebody's
/// tarball would give to every user of this machine, and device files.
///
/// # Errors
/// When it is beyond the limits, can't be read, or a file in it is one outside, too.
pub fn make_harmless(folder: &Path, limits: &Limits) -> Result<()> {
    let found = walk(folder, limits, |path, metadata| {
        let mode = metadata.permissions().mode();
        // Or we could not look into it.
        let is_closed = metadata.is_dir() && mode & 0o500 != 0o500;
        if is_closed { fs::set_permissions(path, Permissions::from_mode(mode | 0o500)) } else { Ok(()) }
    })?;
    // Before any file is changed. GNU tar makes no such link, BusyBox's does.
    ensure!(!found.is_linked_outside, "it has a hard link to a file outside of it");
    walk(folder, limits, |path, metadata| {
        let (kind, mode) = (metadata.file_type(), metadata.permissions().mode());
        if kind.is_block_device() || kind.is_char_device() {
            fs::remove_file(path)
        } else if kind.is_file() && mode & 0o6000 != 0 {
            fs::set_permissions(path, Permissions::from_mode(mode & !0o6000))
        } else {
            Ok(())
        }
    })?;
    Ok(())
}

/// What a folder holds.
struct Found {
    /// What all files are long together.
    bytes: u64,
    /// Has a file in it a name elsewhere, too?
    is_linked_outside: bool,
}

/// Calls `visit` for everything below `folder`, for a folder before it looks into it. It follows no link, and does not go
/// into what is mounted there.
fn walk(folder: &Path, limits: &Limits, visit: impl Fn(&Path, &Metadata) -> io::Result<()>) -> Result<Found> {
    let device = folder.metadata().with_context(|| format!("reading {}", folder.display()))?.dev();
    let (mut entries, mut bytes) = (0, 0_u64);
    // Of each file with more than one name, how many are yet to be found.
    let mut linked = HashMap::new();
    // Not by calling itself: who packed it chose how deep it is.
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        // {:?}: a name may have any bytes in it, such as those that a terminal obeys.
        for entry in fs::read_dir(&path).with_context(|| format!("reading {path:?}"))? {
            let path = entry.with_context(|| format!("reading {path:?}"))?.path();
            let length = path.as_os_str().len() - folder.as_os_str().len();
            ensure!(length <= LONGEST_PATH, "it has a path of more than {LONGEST_PATH} bytes");
            let metadata = path.symlink_metadata().with_context(|| format!("reading {path:?}"))?;
            entries += 1;
            let is_another_name = linked.contains_key(&metadata.ino());
            if metadata.is_file() && !is_another_name {
                bytes = bytes.saturating_add(metadata.len());
            }
            if !metadata.is_dir() && metadata.nlink() > 1 {
                *linked.entry(metadata.ino()).or_insert(metadata.nlink()) -= 1;
            }
            ensure!(entries <= limits.entries, limits.too_many());
            ensure!(bytes <= limits.bytes, limits.too_large());
            visit(&path, &metadata).with_context(|| format!("making {path:?} harmless"))?;
            if metadata.is_dir() && metadata.dev() == device {
                folders.push(path);
            }
        }
    }
    Ok(Found { bytes, is_linked_outside: linked.values().any(|names| *names > 0) })
}

/// Removes a folder that may be deeper than a path can be long, or than files can be open, and in which folders may lack
/// every permission.
///
/// # Errors
/// Those of unlink(2), rmdir(2) and rename(2).
pub fn remove(folder: &Path) -> io::Result<()> {
    // What can't be allowed shows when it is needed.
    let allow = |folder: &Path| drop(fs::set_permissions(folder, Permissions::from_mode(0o700)));
    let mut number = 0_u64;
    allow(folder);
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(folder)? {
            is_empty = false;
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            allow(&entry.path());
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                if !inner.file_type()?.is_dir() {
                    fs::remove_file(inner.path())?;
                    continue;
                }
                // To the top, where paths are short: in a later round it is its turn. Its `..` changes, so it must be writable.
                allow(&inner.path());
                let free = loop {
                    let path = folder.join(format!(".remove.{number}"));
                    number += 1;
                    if path.symlink_metadata().is_err() {
                        break path;
                    }
                };
                fs::rename(inner.path(), free)?;
            }
            fs::remove_dir(entry.path())?;
        }
        if is_empty {
            return fs::remove_dir(folder);
        }
    }
}

/// The program that packed a file which begins so, if it is packed.
fn packer(start: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"LZIP", "lzip"),
    ];
    magics.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, packer)| *packer)
}

/// The tar that unpacks into the folder `new`.
fn extract(new: &Path, limits: &Limits) -> Command {
    let mut command = tar(&["-x", "-p", "--no-same-owner"], limits);
    if is_gnu_tar() {
        // Without --anchored it would also leave out home/dev/; no other tar has it.
        command.args(["--anchored", "--exclude=./dev/*", "--exclude=dev/*"]);
    }
    command.args(["-f", "-", "-C"]).arg(new);
    command
}

/// tar(1), unable to make a file larger than all together may be: one with holes is large in a small tarball.
fn tar(args: &[&str], limits: &Limits) -> Command {
    let mut command = limited("tar", limits.bytes);
    // TAR_OPTIONS could take its care away. The messages are looked at here.
    command.args(args).env_remove("TAR_OPTIONS").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// A program that can't make a file of more than `bytes`, nor take more memory than tar needs. Where the kernel would end it by
/// SIGXFSZ, it gets EFBIG. When there is no such program, the status is 127.
pub fn limited(program: &str, bytes: u64) -> Command {
    let mut command = Command::new("sh");
    // POSIX counts files in blocks of 512 bytes; -v is not in it, but in every shell. A lower limit that is there stays.
    let script = "trap '' XFSZ; ulimit -f \"$1\" 2>/dev/null; ulimit -v \"$2\" 2>/dev/null; shift 2; exec \"$@\"";
    command.args(["-c", script, "sh", &(bytes / 512).to_string(), &(MEMORY / 1024).to_string(), program]);
    command
}

fn is_gnu_tar() -> bool {
    let version = Command::new("tar").arg("--version").stderr(Stdio::null()).output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU tar"))
}

/// Starts both, and carries what `source` writes to `tar`, as far as there is `room` for it.
fn pass_through(mut source: Command, mut tar: Command, limits: &Limits, room: u64) -> Result<()> {
    let (mut source, from, source_said) = start(&mut source)?;
    let (mut tar, listed, said) = start(tar.stdin(Stdio::piped()))?;
    let to = tar.stdin.take().context("is piped")?;
    let is_enough = AtomicBool::new(false);
    let (carried, counted, said, source_said) = thread::scope(|scope| {
        let counted = scope.spawn(|| count_names(listed, limits).inspect_err(|_| is_enough.store(true, Relaxed)));
        let said = scope.spawn(|| reason(said));
        let source_said = scope.spawn(|| reason(source_said));
        let carried = carry(from, to, |bytes| {
            ensure!(!is_enough.load(Relaxed), "there is enough");
            limits.check(bytes, room)
        });
        if carried.is_err() {
            let _ = (source.kill(), tar.kill());
        }
        (carried, counted.join(), said.join(), source_said.join())
    });
    let (source, tar) = (source.wait()?, tar.wait()?);
    let panicked = |_| anyhow!("a thread panicked");
    // Of what went wrong, the first of these is the cause of the others.
    counted.map_err(panicked)??;
    let ends_as_it_must = carried?;
    ensure!(source.success(), "{}", source_said.map_err(panicked)?.unwrap_or_else(|| format!("reading it: {source}")));
    ensure!(tar.code() != Some(127), "there is no tar on this machine");
    let said = said.map_err(panicked)?;
    // To tar, that a file can't be made as long as it should be is a warning.
    let is_whole = tar.success() && !said.as_ref().is_some_and(|line| line.contains(CANNOT));
    ensure!(is_whole, "{}", said.unwrap_or_else(|| format!("tar: {tar}")));
    ensure!(ends_as_it_must, "it was cut short: its end is missing");
    Ok(())
}

fn start(command: &mut Command) -> Result<(Child, ChildStdout, ChildStderr)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| {
        let name = command.get_program().display().to_string();
        match error.kind() {
            ErrorKind::NotFound => anyhow!("there is no {name} on this machine"),
            _ => anyhow::Error::new(error).context(name),
        }
    })?;
    let (stdout, stderr) = (child.stdout.take().context("is piped")?, child.stderr.take().context("is piped")?);
    Ok((child, stdout, stderr))
}

/// What a tarball is made of, in bytes.
const BLOCK: usize = 512;

/// Carries all bytes, and calls `check` with the number so far. Do they end with a block of zeros? Without, tar would take half of
/// a tarball for a whole.
fn carry(mut from: impl Read, to: impl Write, check: impl Fn(u64) -> Result<()>) -> Result<bool> {
    let mut to = Some(to);
    let mut bytes = 0;
    let mut last = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer).context("reading what was unpacked")?;
        if length == 0 {
            return Ok(last == [0; BLOCK]);
        }
        let piece = &buffer[..length];
        bytes += length as u64;
        check(bytes)?;
        last.extend_from_slice(&piece[length.saturating_sub(BLOCK)..]);
        last.drain(..last.len().saturating_sub(BLOCK));
        match to.as_mut().map_or(Ok(()), |to| to.write_all(piece)) {
            Ok(()) => {}
            // It has seen the end, or something is wrong that it tells. What comes behind still counts.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => to = None,
            Err(error) => return Err(error).context("writing to tar"),
        }
    }
}

/// Counts what `tar -t` lists.
fn count_names(listed: impl Read, limits: &Limits) -> Result<()> {
    let mut listed = BufReader::new(listed);
    let mut entries = 0;
    loop {
        let piece = listed.fill_buf().context("reading the names")?;
        let length = piece.len();
        if length == 0 {
            return Ok(());
        }
        entries += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        ensure!(entries <= limits.entries, limits.too_many());
        listed.consume(length);
    }
}

/// In whatever GNU tar says that it could not do.
const CANNOT: &str = "Cannot";

/// The line that tells why a program failed, fit for a terminal; the rest, which may be long, is read and forgotten.
fn reason(said: impl Read) -> Option<String> {
    let is_remark =
        |line: &str| ["Removing leading", "Ignoring unknown", "time stamp"].iter().any(|it| line.contains(it));
    let mut said = BufReader::new(said);
    let mut told: Option<String> = None;
    let mut line = Vec::new();
    while said.by_ref().take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        let is_better = |told: &String| !told.contains(CANNOT) && text.contains(CANNOT);
        if told.as_ref().is_none_or(is_better) && !text.trim().is_empty() && !is_remark(&text) {
            told = Some(shown(text.trim()));
        }
        line.clear();
    }
    told
}

/// Text that a terminal can't obey. Of a long one, the middle is left out: a name comes before the reason.
fn shown(text: &str) -> String {
    const EACH: usize = 150;
    let chars: Vec<char> = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    match chars.len() {
        length if length > 2 * EACH => chars[..EACH].iter().chain(&['…']).chain(&chars[length - EACH..]).collect(),
        _ => chars.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_tar_could_not_do_and_nothing_that_a_terminal_obeys() {
        let said = "tar: Removing leading `/' from member names\n\ntar: odd\ntar: \u{1b}[2J\r\u{9b}x: Cannot open\ntar: later\n";
        assert_eq!(reason(said.as_bytes()).unwrap(), "tar: ?[2J??x: Cannot open");
        assert_eq!(reason(&b"tar: odd \xff"[..]).unwrap(), "tar: odd \u{fffd}");
        assert_eq!(reason(&b"\n \n"[..]), None);
        let long = format!("tar: {}: why", "x".repeat(100_000));
        let short = reason(long.as_bytes()).unwrap();
        assert!(short.starts_with("tar: xx") && short.chars().count() <= 301, "{short}");
        assert!(shown(&long).ends_with("xx: why"));
    }

    #[test]
    fn a_tarball_ends_with_a_block_of_zeros_however_it_comes() {
        /// Gives so many bytes at once.
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(self.1);
                self.0.read(&mut buffer[..most])
            }
        }
        let whole = [vec![1; 5000], vec![0; BLOCK]].concat();
        for at_once in [1, 100, BLOCK, 5001, 100_000] {
            let ends = |bytes: &[u8]| {
                let mut carried = Vec::new();
                let ends = carry(Slow(bytes, at_once), &mut carried, |_| Ok(())).unwrap();
                assert_eq!(carried, bytes);
                ends
            };
            assert!(ends(&whole), "{at_once}");
            assert!(!ends(&whole[1..][..whole.len() - 2]) && !ends(&whole[..100]) && !ends(b""), "{at_once}");
        }
    }

    #[test]
    fn it_is_counted_while_it_comes_even_when_tar_listens_no_more() {
        /// As a pipe to a program that has ended.
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let limits = Limits { entries: 3, bytes: 1 << 20, spare: 0 };
        let error = carry(io::repeat(0), Gone, |bytes| limits.check(bytes, u64::MAX)).unwrap_err();
        assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
        let error = carry(io::repeat(0), Gone, |bytes| limits.check(bytes, 1000)).unwrap_err();
        assert!(error.to_string().contains("of the disk free"), "{error}");
        assert!(count_names(&b"a\nb\nc\n"[..], &limits).is_ok());
        assert!(count_names(&b"a\nb\nc\nd\n"[..], &limits).is_err());
    }
}
