//! Reads tarballs: tar(5), compressed or not.
//!
//! The tar programs of different machines differ in their options, in their messages and in what they can't create. Reading a
//! tarball here makes the result the same on all of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::target::{Target, named};

/// The size of a block of a tarball, in bytes.
const BLOCK: u64 = 512;
/// The longest extended header, in bytes: one is kept in memory.
const LONGEST_HEADER: u64 = 1 << 20;
const CUT_SHORT: &str = "it was cut short: its end is missing";

/// Unpacks a tarball without owners, which a user namespace with one user can't have, and without devices.
pub fn unpack(tarball: &Path, target: &mut Target<'_>) -> Result<()> {
    let mut file = File::open(tarball).with_context(|| format!("opening {}", tarball.display()))?;
    let mut start = [0; 6];
    let length = file.read(&mut start)?;
    ensure!(length > 0, "it is empty");
    file.rewind()?;
    match packer(&start) {
        None => read(&mut BufReader::new(file), target),
        Some(packer) => {
            read_output(Command::new(packer).arg("-dc").stdin(file).stderr(Stdio::piped()), |from| read(from, target))
        }
    }
}

/// Starts a program, and reads its output. If it fails, its last line on stderr is the error, unless we ended it.
pub fn read_output(program: &mut Command, read: impl FnOnce(&mut BufReader<ChildStdout>) -> Result<()>) -> Result<()> {
    let name = program.get_program().to_string_lossy().into_owned();
    let child = program.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| super::not_started(error, &name))?;
    let mut from = BufReader::new(child.stdout.take().context("is piped")?);
    let result = read(&mut from);
    // The rest may have no end.
    if result.is_err() && !from.fill_buf().is_ok_and(<[u8]>::is_empty) {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    match output.status.code() {
        Some(0) => result,
        None if result.is_err() => result,
        _ => bail!("{}", last_line(&output.stderr).unwrap_or_else(|| format!("{name}: {}", output.status))),
    }
}

/// Returns the last line that a program wrote before it failed.
pub fn last_line(stderr: &[u8]) -> Option<String> {
    String::from_utf8_lossy(stderr).lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Returns the program that compressed a file with this start.
fn packer(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [b'L', b'Z', b'I', b'P', ..] => Some("lzip"),
        _ => None,
    }
}

/// Reads to the end of the file. One tarball may follow another.
fn read(from: &mut impl Read, target: &mut Target<'_>) -> Result<()> {
    let mut extended = Extended::default();
    let mut has_end = false;
    let mut block = Vec::new();
    for index in 0.. {
        block.clear();
        from.by_ref().take(BLOCK).read_to_end(&mut block)?;
        if block.is_empty() {
            break;
        }
        target.spend(BLOCK)?;
        let is_zero = block.iter().all(|byte| *byte == 0);
        ensure!(index > 0 || is_zero || is_header(&block), "it is not a tarball");
        ensure!(block.len() as u64 == BLOCK, CUT_SHORT);
        has_end = is_zero;
        if is_zero {
            continue;
        }
        ensure!(is_header(&block), "it is damaged: a header is wrong");
        let kind = block[156];
        // Links, devices and directories have no content, whatever their size says.
        let size = if matches!(kind, b'1'..=b'6') { 0 } else { number(&block[124..136])? };
        target.spend(size)?;
        let mut content = from.by_ref().take(size);
        match kind {
            b'L' | b'K' | b'x' => extended.add(kind, &mut content)?,
            _ => unpack_entry(&block, mem::take(&mut extended), &mut content, target)?,
        }
        let rest = content.limit() + size.next_multiple_of(BLOCK) - size;
        io::copy(&mut from.by_ref().take(rest), &mut io::sink())?;
    }
    ensure!(has_end, CUT_SHORT);
    Ok(())
}

fn unpack_entry(header: &[u8], extended: Extended, content: &mut impl Read, target: &mut Target<'_>) -> Result<()> {
    let kind = header[156];
    let field = |from: usize, to: usize| path(until_nul(&header[from..to]));
    // GNU tar has other things in place of POSIX's prefix.
    let prefix = if header[257..].starts_with(b"ustar\0") { field(345, 500) } else { PathBuf::new() };
    let name = extended.name.unwrap_or_else(|| prefix.join(field(0, 100)));
    let is_sparse = extended.is_sparse || kind == b'S';
    ensure!(!is_sparse, "{name:?} is a sparse file: unpack it with tar(1), and name the directory");
    let link = extended.link.unwrap_or_else(|| field(157, 257));
    let mode = number(&header[100..108])? as u32;
    let unpacked = match kind {
        b'5' => target.directory(&name, mode),
        // Older than directories of their own.
        0 if name.as_os_str().as_bytes().ends_with(b"/") => target.directory(&name, mode),
        0 | b'0' | b'7' => {
            let time = Duration::from_secs(number(&header[136..148]).unwrap_or_default());
            let modified = SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH);
            target.file(&name, mode, modified, content)
        }
        b'1' => target.hard_link(&name, &link),
        b'2' => target.symlink(&name, &link),
        // Devices and FIFOs, a volume's label, and POSIX's header for all entries.
        b'3' | b'4' | b'6' | b'V' | b'g' => Ok(()),
        other => bail!("{name:?} is of an unknown kind: {:?}", char::from(other)),
    };
    unpacked.map_err(|error| named(error, &name))
}

/// What extended headers tell about the next entry, because it doesn't fit into the entry's own header.
#[derive(Debug, Default)]
struct Extended {
    name: Option<PathBuf>,
    link: Option<PathBuf>,
    is_sparse: bool,
}

impl Extended {
    /// Takes the content of such a header.
    fn add(&mut self, kind: u8, content: &mut io::Take<impl Read>) -> Result<()> {
        ensure!(content.limit() <= LONGEST_HEADER, "it has a header of more than {LONGEST_HEADER} bytes");
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        match kind {
            b'L' => self.name = Some(path(until_nul(&text))),
            b'K' => self.link = Some(path(until_nul(&text))),
            _ => self.add_records(&text).context("it is damaged: an extended header is wrong")?,
        }
        Ok(())
    }

    /// Takes POSIX's records: `LENGTH KEY=VALUE` and a newline, where the length counts everything.
    fn add_records(&mut self, mut text: &[u8]) -> Option<()> {
        while !text.is_empty() {
            let digits = text.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
            let record = text.get(digits + 1..length.checked_sub(1)?)?;
            let (key, value) = record.split_at(record.iter().position(|byte| *byte == b'=')?);
            match key {
                b"path" => self.name = Some(path(&value[1..])),
                b"linkpath" => self.link = Some(path(&value[1..])),
                _ => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
            text = text.get(length..)?;
        }
        Some(())
    }
}

/// True if the sum over the header is right, with blanks in place of the sum itself.
fn is_header(block: &[u8]) -> bool {
    let Some(stated) = block.get(148..156) else { return false };
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = stated.iter().map(|byte| u64::from(*byte)).sum();
    number(stated).is_ok_and(|stated| stated == sum - own + 8 * u64::from(b' '))
}

/// Returns a number in octal digits, or in GNU's binary format, which begins with a set bit.
fn number(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 != 0 {
        return Ok(field[field.len() - 8..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = std::str::from_utf8(field).ok().map(|text| text.trim_matches(['\0', ' ']));
    match digits.map(|digits| if digits.is_empty() { Ok(0) } else { u64::from_str_radix(digits, 8) }) {
        Some(Ok(number)) => Ok(number),
        _ => bail!("it is damaged: {:?} is not a number", field.escape_ascii().to_string()),
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn path(name: &[u8]) -> PathBuf {
    OsStr::from_bytes(name).into()
}
