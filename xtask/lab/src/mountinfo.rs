//! Reads mount tables: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::MsFlags;

/// A mount: one line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The number of the mount, which fdinfo calls `mnt_id`. It is unique as long as the mount exists.
    pub id: u32,
    /// The number of the file system, `98:0`.
    pub device: String,
    /// The directory or file of the file system that is mounted; `/` means all of it.
    pub root: PathBuf,
    /// The mount point, below the root of the process whose table this is.
    pub point: PathBuf,
    /// The options of this mount, comma-separated: `ro,nosuid`.
    pub options: String,
    /// The peer group, if it is shared: mount_namespaces(7).
    pub peers: Option<u32>,
    /// The type of the file system, such as `proc`.
    pub kind: String,
    /// The options of the file system, which all its mounts share.
    pub super_options: String,
}

/// The flags that a user namespace can't take away from a mount: mount_namespaces(7). The read-only flag is one more.
const LOCKED: [(&str, MsFlags); 6] = [
    ("nosuid", MsFlags::MS_NOSUID),
    ("nodev", MsFlags::MS_NODEV),
    ("noexec", MsFlags::MS_NOEXEC),
    ("noatime", MsFlags::MS_NOATIME),
    ("nodiratime", MsFlags::MS_NODIRATIME),
    ("relatime", MsFlags::MS_RELATIME),
];

impl Mount {
    /// True if this mount has an option, such as `nosuid`.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|it| it == option)
    }

    /// Returns those of its flags that a remount in a user namespace must keep.
    pub fn locked_flags(&self) -> MsFlags {
        LOCKED.into_iter().filter(|(option, _)| self.has_option(option)).map(|(_, flag)| flag).collect()
    }

    /// True if nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        [&self.options, &self.super_options].iter().any(|options| options.split(',').any(|it| it == "ro"))
    }
}

/// Returns the mounts of a table in its order, without malformed lines. The order doesn't tell which of two mounts on one
/// point is visible: a mount that was moved keeps its line.
pub fn parse(table: &[u8]) -> Vec<Mount> {
    // A mount point may contain any bytes.
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /point rw,noatime shared:1 master:2 - ext4 /dev/root rw`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let mut fields = line.split(|byte| *byte == b' ');
    let id = text(fields.next()?).parse().ok()?;
    let device = text(fields.nth(1)?);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let options = text(fields.next()?);
    let mut peers = None;
    for tag in fields.by_ref().take_while(|tag| *tag != b"-") {
        peers = peers.or(text(tag).strip_prefix("shared:").and_then(|group| group.parse().ok()));
    }
    Some(Mount {
        id,
        device,
        root,
        point,
        options,
        peers,
        kind: text(fields.next()?),
        super_options: text(fields.nth(1)?),
    })
}

/// Returns the mounts that this process sees, in the table's order.
pub fn own() -> Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/self/mountinfo").context("open(\"/proc/self/mountinfo\")")?))
}

/// Returns the mount points at `directory` and below.
pub fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let directory = directory.canonicalize().with_context(|| format!("finding {}", directory.display()))?;
    Ok(own()?.into_iter().map(|mount| mount.point).filter(|point| point.starts_with(&directory)).collect())
}

/// Decodes the backslash and three octal digits that the kernel writes for blank, tab, newline and backslash.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |digit: &u8| matches!(digit, b'0'..=b'7').then(|| u32::from(digit - b'0'));
        let digits = tail.first_chunk::<3>().filter(|_| first == b'\\');
        let number = digits.and_then(|[a, b, c]| u8::try_from(octal(a)? << 6 | octal(b)? << 3 | octal(c)?).ok());
        bytes.push(number.unwrap_or(first));
        rest = if number.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_with_any_bytes_come_back() {
        assert_eq!(unescape(br"/my\040folder\134\011\012"), PathBuf::from("/my folder\\\t\n"));
        assert_eq!(unescape(b"/us\xe9b").as_os_str().as_encoded_bytes(), b"/us\xe9b");
        assert_eq!(unescape(br"/a\04"), PathBuf::from(r"/a\04"));
    }

    #[test]
    fn a_line_is_read() {
        let table = b"36 35 98:0 /a /pro\\040c ro,noatime shared:7 master:2 - proc proc rw,x\n\
                      37 36 0:1 / / rw - ext4 /dev/root rw\nnonsense\n38 36 0:1 / /cut rw shared:1\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].device.as_str(), mounts[0].root.as_path()), ("98:0", Path::new("/a")));
        assert_eq!((mounts[0].point.as_path(), mounts[0].peers), (Path::new("/pro c"), Some(7)));
        assert_eq!((mounts[0].kind.as_str(), mounts[0].super_options.as_str()), ("proc", "rw,x"));
        assert!(mounts[0].is_read_only() && !mounts[1].is_read_only());
        assert_eq!(mounts[1].peers, None);
    }

    #[test]
    fn proc_is_mounted() {
        assert!(own().unwrap().iter().any(|mount| mount.point == Path::new("/proc")));
        assert!(below(Path::new("/proc")).unwrap().contains(&PathBuf::from("/proc")));
    }

    /// As the kernel does: mangle() in fs/proc_namespace.c.
    fn escape(name: &[u8]) -> Vec<u8> {
        let escaped = |byte: &u8| match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
            byte => vec![*byte],
        };
        name.iter().flat_map(escaped).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_table(table: Vec<u8>) {
            let mounts = parse(&table);
            prop_assert!(mounts.len() <= table.split(|byte| *byte == b'\n').count());
        }

        #[test]
        fn almost_a_table_is_one_too(words in prop::collection::vec("[0-9a-z/:,\\\\-]{0,4}|-|shared:[0-9]{0,11}", 0..60), at in "[ \n]{1,60}") {
            let blanks = at.chars().cycle();
            let table: String = words.iter().zip(blanks).map(|(word, blank)| format!("{word}{blank}")).collect();
            parse(table.as_bytes());
        }

        #[test]
        fn whatever_the_kernel_writes_is_read(
            root in prop::collection::vec(1_u8.., 1..40),
            point in prop::collection::vec(1_u8.., 1..40),
            peers: Option<u32>,
            options in "(ro|rw)(,[a-z]{1,8}){0,3}",
            kind in "[a-z0-9.]{1,10}",
        ) {
            let shared = peers.map(|group| format!("shared:{group} ")).unwrap_or_default();
            let begin = [b"36 35 98:0 ", escape(&root).as_slice(), b" "].concat();
            let end = format!(" {options} {shared}master:1 - {kind} none rw\n");
            let table = [begin, escape(&point), end.into_bytes()].concat().repeat(2);
            let mount = Mount {
                id: 36,
                device: "98:0".into(),
                root: OsString::from_vec(root).into(),
                point: OsString::from_vec(point).into(),
                options,
                peers,
                kind,
                super_options: "rw".into(),
            };
            prop_assert_eq!(parse(&table), [mount.clone(), mount]);
        }

        #[test]
        fn a_backslash_before_anything_else_stays(digits in "[+ 89x-][0-7+-]{2}") {
            let name = format!("\\{digits}");
            prop_assert_eq!(unescape(name.as_bytes()), PathBuf::from(&name));
        }
    }
}
