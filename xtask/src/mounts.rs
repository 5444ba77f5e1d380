//! What is mounted where, as this process sees it: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every mount point, in the order of mounting.
///
/// # Errors
/// When /proc can't be read: to know nothing is not to know that nothing is mounted.
pub fn points() -> Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    // A mount point may have any bytes in it.
    let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescape).collect())
}

/// The mount points at `folder` and below.
///
/// # Errors
/// Those of [`points`], and when there is no such folder.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let mut points = points()?;
    points.retain(|point| point.starts_with(&folder));
    Ok(points)
}

/// The kernel writes blank, tab, newline and backslash as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_any_bytes_come_back() {
        assert_eq!(unescape(br"/my\040folder\134\011\012"), PathBuf::from("/my folder\\\t\n"));
        assert_eq!(unescape(b"/us\xe9b").as_os_str().as_encoded_bytes(), b"/us\xe9b");
        assert_eq!(unescape(br"/a\04"), PathBuf::from(r"/a\04"));
    }

    #[test]
    fn proc_is_mounted() {
        assert!(points().unwrap().contains(&PathBuf::from("/proc")));
        assert!(below(Path::new("/proc")).unwrap().contains(&PathBuf::from("/proc")));
    }
}
