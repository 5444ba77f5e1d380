//! A source that means harm: nothing is written outside of the rootfs, and it is a clear error or a sane rootfs, within
//! limits.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Place, stderr};
use xtask::host::Host;

/// A tarball in the making, with whatever in it: tar(5).
#[derive(Clone)]
struct Tar(Vec<u8>);

impl Tar {
    /// One that is a rootfs.
    fn rootfs() -> Tar {
        Tar(Vec::new()).folder("./").folder("bin/").folder("etc/").file("bin/sh", b"a shell\n")
    }

    fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Tar {
        self.entry(b'0', name, "", 0o644, content.len() as u64, content)
    }

    fn folder(self, name: impl AsRef<[u8]>) -> Tar {
        self.entry(b'5', name, "", 0o755, 0, b"")
    }

    fn symlink(self, name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Tar {
        self.entry(b'2', name, to, 0o777, 0, b"")
    }

    fn hard_link(self, name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Tar {
        self.entry(b'1', name, to, 0o644, 0, b"")
    }

    /// An entry of any kind and any stated `size`.
    fn entry(
        mut self,
        kind: u8,
        name: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        mode: u32,
        size: u64,
        content: &[u8],
    ) -> Tar {
        let (name, link) = (name.as_ref(), link.as_ref());
        // What does not fit travels as the content of an entry before this one, as GNU tar has it.
        for (kind, text) in [(b'L', name), (b'K', link)] {
            if text.len() > 100 {
                let text = [text, b"\0"].concat();
                self = self.entry(kind, "././@LongLink", "", 0, text.len() as u64, &text);
            }
        }
        let mut header = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &name[..name.len().min(100)]);
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, b"00000000000\0        ");
        put(156, &[kind]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar  \0");
        // The numbers of a device: those of /dev/null.
        put(329, b"0000001\x000000003\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    compress("gzip", bytes)
}

fn compress(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        child.wait_with_output().unwrap().stdout
    })
}

/// Everything in a place but what is made there: names, modes, sizes, inodes, links and contents.
fn outside(place: &Place) -> Vec<String> {
    fn look(folder: &Path, seen: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            if ["rootfs", ".rootfs.lock", "cache"].iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let is_short = metadata.is_file() && metadata.len() < 1 << 20;
            let content = if is_short { fs::read(&path).unwrap() } else { Vec::new() };
            let what = (metadata.mode(), metadata.ino(), metadata.nlink(), metadata.mtime());
            seen.push(format!("{path:?} {what:?} {:?} {}", fs::read_link(&path).ok(), content.escape_ascii()));
            if metadata.is_dir() {
                look(&path, seen);
            }
        }
    }
    let mut seen = Vec::new();
    look(&place.0, &mut seen);
    seen.sort();
    seen
}

/// A place with somebody's files in it, which nobody may touch.
fn place_with_victim() -> Place {
    let place = Place::new();
    fs::create_dir(place.0.join("victim")).unwrap();
    fs::write(place.0.join("victim/file"), "precious").unwrap();
    place
}

/// Unpacks a tarball, and sees that all is well outside: either there is no rootfs and one line, or there is one.
#[track_caller]
fn unpack(place: &Place, what: &str, tarball: &[u8]) -> Output {
    let file = place.0.join("tarball");
    fs::write(&file, tarball).unwrap();
    let before = outside(place);
    let output = place.run(&["--force", "--source", file.to_str().unwrap()]);
    assert_eq!(outside(place), before, "{what}: {}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{what}: {}", stderr(&output));
    assert!(stderr(&output).chars().all(|c| c == '\n' || !c.is_control()), "{what}: {:?}", stderr(&output));
    assert!(stderr(&output).len() < 1000, "{what}: {}", stderr(&output));
    match output.status.code() {
        Some(0) => assert_is_sane(&place.rootfs()),
        status => assert_eq!(status, Some(1), "{what}: {}", stderr(&output)),
    }
    output
}

/// No device, no set-user-ID bit, and where the steps work there are folders.
#[track_caller]
fn assert_is_sane(rootfs: &Path) {
    let mut folders = vec![rootfs.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            let kind = metadata.file_type();
            assert!(!kind.is_block_device() && !kind.is_char_device(), "{:?}", entry.path());
            assert!(kind.is_symlink() || kind.is_dir() || metadata.mode() & 0o6000 == 0, "{:?}", entry.path());
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    for name in ["", "proc", "etc", "bin"] {
        assert!(rootfs.join(name).symlink_metadata().unwrap().is_dir(), "{name}");
    }
    assert!(rootfs.join("etc/mini-docker").symlink_metadata().unwrap().is_file());
}

#[track_caller]
fn assert_refused(place: &Place, what: &str, tarball: &[u8], reason: &str) {
    let output = unpack(place, what, tarball);
    assert_eq!(output.status.code(), Some(1), "{what}: {}", stderr(&output));
    assert!(stderr(&output).contains(reason), "{what}: no {reason:?} in {}", stderr(&output));
    assert!(!place.rootfs().exists(), "{what}");
    place.assert_tidy_but(&["victim"]);
}

#[track_caller]
fn assert_taken(place: &Place, what: &str, tarball: &[u8]) {
    let output = unpack(place, what, tarball);
    assert!(output.status.success(), "{what}: {}", stderr(&output));
    place.assert_tidy_but(&["victim"]);
}

#[test]
fn names_and_links_that_lead_out_of_it_write_nothing_there() {
    let place = place_with_victim();
    let victim = place.0.join("victim").into_os_string().into_string().unwrap();
    let up = "../".repeat(40);
    let out = |rest: &str| format!("{victim}{rest}");
    let cases = [
        ("..", Tar::rootfs().file("../victim/new", b"x")),
        ("../.. over the file", Tar::rootfs().file("../../victim/file", b"x")),
        (".. to the top", Tar::rootfs().file(format!("{up}{victim}/file"), b"x")),
        (".. inside a name", Tar::rootfs().file("bin/../../victim/new", b"x")),
        ("a folder ..", Tar::rootfs().entry(b'5', "..", "", 0o777, 0, b"")),
        ("an absolute name", Tar::rootfs().file(out("/new"), b"x")),
        ("an absolute name over the file", Tar::rootfs().file(out("/file"), b"x")),
        ("an absolute folder's mode", Tar::rootfs().entry(b'5', out("/"), "", 0o777, 0, b"")),
        ("through an absolute link", Tar::rootfs().symlink("d", &victim).file("d/new", b"x")),
        ("through an absolute link, over the file", Tar::rootfs().symlink("d", &victim).file("d/file", b"x")),
        ("through a link with ..", Tar::rootfs().symlink("d", "../../victim").file("d/new", b"x")),
        ("through two links", Tar::rootfs().symlink("d", "e").symlink("e", &victim).file("d/new", b"x")),
        (
            "through two links, the other order",
            Tar::rootfs().symlink("e", &victim).symlink("d", "e").file("d/new", b"x"),
        ),
        ("a link as a file", Tar::rootfs().symlink("f", out("/file")).file("f", b"x")),
        ("a link that becomes a folder", Tar::rootfs().symlink("d", &victim).folder("d/").file("d/new", b"x")),
        ("a folder that becomes a link", Tar::rootfs().folder("d/").symlink("d", &victim).file("d/new", b"x")),
        ("the top as a link", Tar(Vec::new()).symlink(".", &victim).folder("bin/").file("bin/sh", b"")),
        (
            "/etc as a link",
            Tar(Vec::new()).symlink("etc", &victim).folder("bin/").file("bin/sh", b"").file("etc/new", b""),
        ),
        ("/proc as a link", Tar::rootfs().symlink("proc", &victim)),
        ("the stamp as a link", Tar::rootfs().symlink("etc/mini-docker", out("/file"))),
        ("a hard link out", Tar::rootfs().hard_link("f", out("/file"))),
        ("a hard link out, then written to", Tar::rootfs().hard_link("f", out("/file")).file("f", b"x")),
        ("a hard link out by ..", Tar::rootfs().hard_link("f", "../../victim/file").file("f", b"x")),
        ("a hard link through a link", Tar::rootfs().symlink("d", &victim).hard_link("f", "d/file").file("f", b"x")),
        ("a hard link to a link", Tar::rootfs().symlink("l", out("/file")).hard_link("f", "l").file("f", b"x")),
        (
            "a device in place of a folder, through a link",
            Tar::rootfs().symlink("d", &victim).entry(b'3', "d/null", "", 0o666, 0, b""),
        ),
        ("a mode through a link", Tar::rootfs().symlink("d", &victim).entry(b'5', "d/", "", 0o7777, 0, b"")),
        (
            "a set-user-ID bit through a link",
            Tar::rootfs().symlink("d", out("/file")).entry(b'0', "d", "", 0o4755, 0, b""),
        ),
    ];
    for (what, tar) in cases {
        unpack(&place, what, &tar.clone().end());
        unpack(&place, what, &gzip(&tar.end()));
        place.assert_tidy_but(&["victim"]);
    }
    // The control: that look sees a change.
    let before = outside(&place);
    fs::write(place.0.join("victim/file"), "Precious").unwrap();
    assert_ne!(outside(&place), before);
}

#[test]
fn what_is_odd_but_harmless_is_taken() {
    let place = place_with_victim();
    let twice = Tar::rootfs().file("etc/x", b"first").file("etc/x", b"second").folder("etc/").folder("etc");
    assert_taken(&place, "a name twice", &twice.end());
    assert_eq!(fs::read(place.rootfs().join("etc/x")).unwrap(), b"second");

    assert_taken(&place, "a name that is no UTF-8", &Tar::rootfs().file(b"etc/\xff\xfe\x1b[2J\n", b"x").end());
    let name = std::ffi::OsStr::from_bytes(b"etc/\xff\xfe\x1b[2J\n");
    assert_eq!(fs::read(place.rootfs().join(name)).unwrap(), b"x");

    assert_taken(&place, "links that go in circles", &Tar::rootfs().symlink("a", "b").symlink("b", "a").end());
    assert_taken(&place, "a fifo", &Tar::rootfs().entry(b'6', "etc/passwd", "", 0o644, 0, b"").end());
    let set_id = Tar::rootfs().entry(b'0', "bin/su", "", 0o6755, 0, b"").entry(b'5', "d", "", 0o7000, 0, b"");
    assert_taken(&place, "set-user-ID and set-group-ID", &set_id.end());
    assert_taken(
        &place,
        "devices in /dev",
        &Tar::rootfs().folder("dev/").entry(b'3', "dev/x", "", 0o666, 0, b"").end(),
    );
}

#[test]
#[ignore = "needs root, who alone can make a device"]
fn a_device_outside_of_dev_is_taken_away() {
    let place = place_with_victim();
    for kind in [b'3', b'4'] {
        assert_taken(&place, "a device", &Tar::rootfs().entry(kind, "etc/disk", "", 0o666, 0, b"").end());
        assert!(place.rootfs().join("etc/disk").symlink_metadata().is_err());
    }
}

#[test]
fn what_can_not_be_a_rootfs_is_refused_with_the_reason() {
    let place = place_with_victim();
    let page = b"<!DOCTYPE html><title>Welcome to our hotel</title>".repeat(100);
    let broken = |tar: Tar, at: usize| {
        let mut bytes = tar.end();
        bytes[at] ^= 0x55;
        bytes
    };
    for (what, bytes, reason) in [
        ("nothing", Vec::new(), "it is empty"),
        ("a web page", page.clone(), "tar: "),
        ("a web page, compressed", gzip(&page), "tar: "),
        ("zeros", vec![0; 10240], "it has no /bin/sh"),
        ("zeros, compressed", gzip(&[0; 10240]), "it has no /bin/sh"),
        ("another archive", b"PK\x03\x04 and so on".repeat(100), "tar: "),
        ("a damaged header", broken(Tar::rootfs(), 512 + 3), "tar: "),
        ("gzip's two bytes and nonsense", b"\x1f\x8bnonsense".repeat(100), "gzip: "),
        ("a name of 4 KiB", Tar::rootfs().file("x".repeat(4096), b"").end(), "File name too long"),
        ("a path of 4 KiB", Tar::rootfs().file("x/".repeat(2048) + "x", b"").end(), "File name too long"),
        ("a path of 3 KiB", Tar::rootfs().file("x/".repeat(1500) + "x", b"").end(), "a path of more than"),
        ("a terminal's codes in an error", Tar::rootfs().file(b"../\x1b[2J\r\xc2\x9b", b"").end(), "tar: "),
        ("a folder without a shell", Tar(Vec::new()).folder("bin/").end(), "it has no /bin/sh"),
        ("the machine's own shell", Tar(Vec::new()).symlink("bin", "/bin").folder("etc/").end(), "it has no /bin/sh"),
        ("a file in place of /proc", Tar::rootfs().file("proc", b"").end(), "/proc is no folder"),
        ("a folder in place of the stamp", Tar::rootfs().folder("etc/mini-docker/").end(), "stamp"),
    ] {
        assert_refused(&place, what, &bytes, reason);
    }
}

#[test]
fn whatever_it_is_packed_with_is_unpacked() {
    let place = place_with_victim();
    let tar = Tar::rootfs().file("etc/x", &b"content\n".repeat(1000)).end();
    // gzip and tar must be there. These are not on every machine, which says so.
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
            assert_taken(&place, program, &compress(program, &tar));
            assert_eq!(fs::read(place.rootfs().join("etc/x")).unwrap().len(), 8000, "{program}");
        }
        let bytes: &[u8] = match program {
            "gzip" => b"\x1f\x8b\x08\0",
            "bzip2" => b"BZh9",
            "xz" => b"\xfd7zXZ\0",
            _ => b"\x28\xb5\x2f\xfd",
        };
        fs::write(place.0.join("tarball"), bytes).unwrap();
        let mut xtask = place.xtask(&["--force", "--source", place.0.join("tarball").to_str().unwrap()]);
        // Nothing but tar and a shell.
        let bare = place.0.join("cache");
        fs::create_dir_all(&bare).unwrap();
        for name in ["sh", "tar"] {
            let path =
                ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name)).into_iter().find(|it| it.exists());
            let _ = symlink(path.unwrap(), bare.join(name));
        }
        let output = xtask.env("PATH", &bare).output().unwrap();
        assert!(stderr(&output).contains(&format!("there is no {program} on this machine")), "{}", stderr(&output));
    }
}

#[test]
fn cut_short_anywhere_it_is_refused() {
    let place = place_with_victim();
    let noise: Vec<u8> = (0_u32..5000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = Tar::rootfs().file("etc/noise", &noise).folder("usr/").file("usr/last", b"the end").end();
    let gz = gzip(&tar);
    for (what, whole) in [("a tarball", tar), ("a compressed one", gz)] {
        assert_taken(&place, what, &whole);
        fs::remove_dir_all(place.rootfs()).unwrap();
        for length in (0..whole.len()).step_by(if what == "a tarball" { 512 } else { 1000 }) {
            // The second of the two blocks of zeros at the end is padding.
            if whole.len() - length == 512 && what == "a tarball" {
                continue;
            }
            assert_refused(&place, &format!("{length} bytes of {what}"), &whole[..length], "");
        }
    }
}

/// The limits, as the help tells them.
const ENTRIES: usize = 200_000;
const GIB: u64 = 1 << 30;

#[test]
fn a_million_entries_are_refused() {
    let place = place_with_victim();
    // The same file and folder again and again, in compressed pieces, which may follow each other.
    let piece = (0..1000).fold(Tar(Vec::new()), |tar, n| tar.file(format!("etc/{n}"), b""));
    let bytes = [gzip(&Tar::rootfs().0), gzip(&piece.0).repeat(1000), gzip(&[0; 1024])].concat();
    assert_refused(&place, "a million", &bytes, &format!("more than {ENTRIES} files and folders"));
}

#[test]
fn what_is_too_large_is_refused() {
    let place = place_with_victim();
    let file = place.0.join("tarball");
    // The tarball itself has holes, so that it costs nothing here; gzip's would take some seconds to unpack so far.
    fs::write(&file, Tar::rootfs().entry(b'0', "etc/huge", "", 0o644, 8 * GIB - 1, b"").0).unwrap();
    fs::OpenOptions::new().append(true).open(&file).unwrap().set_len(9 * GIB).unwrap();
    let script = format!("'{}' rootfs --source tarball --to rootfs; echo $?; ls -A", env!("CARGO_BIN_EXE_xtask"));
    let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
    assert!(stderr(&output).contains("larger than 2048 MiB"), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n.rootfs.lock\ntarball\nvictim\n");
}

#[test]
fn a_bomb_does_not_fill_the_disk() {
    let place = Place::new();
    let zeros = gzip(&vec![0; 16 << 20]);
    let file = Tar::rootfs().entry(b'0', "etc/bomb", "", 0o644, 8 * GIB - 1, b"");
    let bomb = [gzip(&file.0), zeros.repeat(512), gzip(&[0; 1024])].concat();
    // tar would not even read what comes behind the end.
    let behind = [gzip(&Tar::rootfs().end()), zeros.repeat(512)].concat();
    // With room for it, were nothing to be spared.
    let file = Tar::rootfs().entry(b'0', "etc/large", "", 0o644, 80 << 20, b"");
    let large = [gzip(&file.0), zeros.repeat(5), gzip(&[0; 1024])].concat();
    for (what, tarball) in [("a file", bomb), ("behind the end", behind), ("almost", large)] {
        assert!(tarball.len() < 10 << 20);
        fs::write(place.0.join("tarball"), tarball).unwrap();
        let script = format!(
            "mkdir -p small && mount -t tmpfs -o size=100m none small && cd small && \
             '{}' rootfs --source ../tarball --to rootfs; echo $?; ls -A",
            env!("CARGO_BIN_EXE_xtask")
        );
        let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n.rootfs.lock\n", "{what}: {}", stderr(&output));
        assert!(stderr(&output).contains("less than 64 MiB of the disk"), "{what}: {}", stderr(&output));
    }
}

/// A file of `size` bytes of which none is there, as GNU tar packs it.
fn sparse(size: u64) -> Vec<u8> {
    let place = Place::new();
    let folder = place.0.join("folder");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("bin/sh"), "").unwrap();
    fs::File::create(folder.join("huge")).unwrap().set_len(size).unwrap();
    let tar = Command::new("tar").args(["-cS", "-C"]).arg(&folder).arg(".").output().unwrap();
    assert!(tar.status.success() && tar.stdout.len() < 100_000);
    tar.stdout
}

#[test]
fn a_sparse_file_counts_with_its_length() {
    let place = place_with_victim();
    assert_refused(&place, "10 GiB", &sparse(10 * GIB), "File too large");
    assert_taken(&place, "1 GiB", &sparse(GIB));
    fs::remove_dir_all(place.rootfs()).unwrap();
    // Each one fits, all together don't.
    let one = sparse(GIB);
    let start = one.windows(6).position(|it| it == b"./huge").unwrap();
    let many: Vec<u8> = (0..3)
        .flat_map(|n| {
            let mut entry = one[start..start + 512].to_vec();
            entry[2..6].copy_from_slice(format!("big{n}").as_bytes());
            entry[148..156].fill(b' ');
            let sum: u32 = entry.iter().map(|byte| u32::from(*byte)).sum();
            entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            entry
        })
        .collect();
    assert_refused(&place, "3 GiB in pieces", &[Tar::rootfs().0, many, vec![0; 1024]].concat(), "larger than 2048 MiB");
}

#[test]
fn folders_deeper_than_any_path_are_refused_and_removed() {
    let place = place_with_victim();
    // Each link shortens the name of the folder at the end of all before it.
    let step = "d/".repeat(1000);
    let mut tar = Tar::rootfs().folder(&step).symlink("s0", step.trim_end_matches('/'));
    for n in 0..30 {
        tar = tar.folder(format!("s{n}/{step}")).symlink(format!("s{}", n + 1), format!("s{n}/{step}d/.."));
    }
    let tar = tar.end();
    let output = unpack(&place, "30,000 folders", &tar);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    place.assert_tidy_but(&["victim"]);
}

/// Makes `depth` folders in each other, and the innermost first, for no path is as long as that.
fn dig(folder: &Path, depth: usize) {
    let (inner, outer) = (folder.join("d"), folder.join("e"));
    fs::create_dir(&inner).unwrap();
    for _ in 1..depth {
        fs::create_dir(&outer).unwrap();
        fs::rename(&inner, outer.join("d")).unwrap();
        fs::rename(&outer, &inner).unwrap();
    }
}

#[test]
fn a_rootfs_in_which_somebody_dug_deep_can_be_replaced() {
    let place = place_with_victim();
    assert_taken(&place, "a rootfs", &Tar::rootfs().end());
    // As any program in the container could.
    dig(&place.rootfs(), 3000);
    // Fewer open files than that are allowed, as on most machines.
    let xtask = place.xtask(&["--force", "--source", place.0.join("tarball").to_str().unwrap()]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]).arg(xtask.get_program()).args(xtask.get_args());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    place.assert_tidy_but(&["victim"]);
    assert!(!place.rootfs().join("d").exists());
}

/// Unpacks a set-user-ID program with a tar that does `then` with the rootfs, `$new`, when it has unpacked.
fn with_a_tar_that(then: &str, place: &Place) -> Output {
    fs::write(place.0.join("tarball"), Tar::rootfs().entry(b'0', "bin/su", "", 0o4755, 0, b"").end()).unwrap();
    let tools = place.0.join("cache");
    fs::create_dir(&tools).unwrap();
    let tar = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}; tar \"$@\"; status=$?\n\
         case \" $*\" in *' -x '*) for new; do :; done; cd '{}'; {then};; esac; exit $status\n",
        place.0.display()
    );
    fs::write(tools.join("tar"), tar).unwrap();
    fs::set_permissions(tools.join("tar"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    place.xtask(&["--source", place.0.join("tarball").to_str().unwrap()]).env("PATH", path).output().unwrap()
}

#[test]
fn nobody_else_can_reach_it_before_it_is_harmless() {
    let place = place_with_victim();
    let output = with_a_tar_that("stat -c %a \"$new/bin/su\" \"$new/..\" >cache/seen", &place);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.0.join("cache/seen")).unwrap(), "4755\n700\n");
}

#[test]
fn a_tar_that_makes_hard_links_to_outside_does_no_harm() {
    let place = place_with_victim();
    let victim = place.0.join("victim/file");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o4755)).unwrap();
    // As BusyBox's does, if the tarball has such a link.
    let output = with_a_tar_that("ln victim/file \"$new/etc/x\"", &place);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("a hard link to a file outside"), "{}", stderr(&output));
    assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(fs::metadata(&victim).unwrap().nlink(), 1);
    place.assert_tidy_but(&["victim"]);

    // The control: links among its own files are as they should be.
    let place = place_with_victim();
    let output = with_a_tar_that("ln \"$new/bin/su\" \"$new/etc/x\"; ln \"$new/bin/su\" \"$new/etc/y\"", &place);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::metadata(place.rootfs().join("etc/y")).unwrap().nlink(), 3);
}

#[test]
fn a_name_as_long_as_the_machine_has_memory_is_refused() {
    let place = place_with_victim();
    let file = place.0.join("tarball");
    // tar keeps a long name in memory. The tarball has holes.
    fs::write(&file, Tar::rootfs().entry(b'L', "././@LongLink", "", 0, 3 * GIB / 2, b"").0).unwrap();
    fs::OpenOptions::new().append(true).open(&file).unwrap().set_len(7 * GIB / 4).unwrap();
    let output = place.run(&["--source", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("memory"), "{}", stderr(&output));
    place.assert_tidy_but(&["victim"]);
}

#[test]
fn a_download_without_an_end_is_given_up() {
    let place = Place::new();
    // It has one, far behind what is waited for, so that a failing test ends.
    let mirror = super::server(|visitor| {
        let _ = visitor.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        (0..4000).try_for_each(|_| visitor.write_all(&[0; 1 << 16])).unwrap_or_default();
    });
    let output = place.run(&["--source", "alpine", "--mirror", &mirror, "--sha512", &"0".repeat(128)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("curl: (23)"), "{}", stderr(&output));
    assert!(!place.rootfs().exists());
    place.assert_tidy();
}

#[test]
fn the_help_and_the_book_tell_the_limits() {
    let help = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["rootfs", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for limit in ["200000 files and folders", "2048 MiB", "64 MiB"] {
        assert!(help.contains(limit), "no {limit} in {help}");
    }
    let book = fs::read_to_string(xtask::workspace::root().join("book/text/rootfs.md")).unwrap();
    for limit in ["200,000 files and folders", "2 GiB", "2,048 bytes", "64 MiB"] {
        assert!(book.contains(limit), "no {limit} in the book");
    }
}

#[test]
fn options_in_the_environment_do_not_open_it() {
    let place = place_with_victim();
    let new = place.0.join("victim/new");
    fs::write(place.0.join("tarball"), Tar::rootfs().file(new.to_str().unwrap(), b"x").end()).unwrap();
    let mut xtask = place.xtask(&["--source", place.0.join("tarball").to_str().unwrap()]);
    let output = xtask.env("TAR_OPTIONS", "--absolute-names").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!new.exists());
}

/// The same care for a folder.
#[track_caller]
fn copy(place: &Place, what: &str) -> Output {
    let before = outside(place);
    let output = place.run(&["--force", "--source", place.0.join("folder").to_str().unwrap()]);
    assert_eq!(outside(place), before, "{what}: {}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{what}: {}", stderr(&output));
    if output.status.success() {
        assert_is_sane(&place.rootfs());
    }
    place.assert_tidy_but(&["victim"]);
    output
}

fn folder(make: &str) -> Place {
    let place = place_with_victim();
    let folder = place.0.join("folder");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("bin/sh"), "").unwrap();
    assert!(Command::new("sh").args(["-euc", make]).current_dir(&folder).status().unwrap().success(), "{make}");
    place
}

#[test]
fn a_folder_that_is_odd_but_harmless_is_copied() {
    for make in [
        "ln -s . loop; ln -s a b; ln -s b a; ln -s .. up; ln -s / top",
        "mkfifo fifo",
        "touch bin/su; chmod 6755 bin/su",
        "ln bin/sh bin/ash; mkdir etc; ln -s ../../victim/file etc/mini-docker",
        "touch \"$(printf 'us\\351b\\033[2J')\"",
    ] {
        let place = folder(make);
        let output = copy(&place, make);
        assert!(output.status.success(), "{make}: {}", stderr(&output));
    }
}

#[test]
fn a_folder_that_is_too_large_is_refused() {
    for (make, reason) in [
        ("for n in 1 2 3; do truncate -s 1G f$n; done", "larger than 2048 MiB"),
        ("truncate -s 10G huge", "larger than 2048 MiB"),
        ("ln -s ../victim proc", "/proc is no folder"),
        ("ln -s ../victim etc", "/etc is no folder"),
    ] {
        let place = folder(make);
        let output = copy(&place, make);
        assert_eq!(output.status.code(), Some(1), "{make}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{make}: {}", stderr(&output));
        assert!(!place.rootfs().exists());
    }
    let place = folder("");
    dig(&place.0.join("folder"), 3000);
    let output = place.run(&["--source", place.0.join("folder").to_str().unwrap()]);
    assert!(stderr(&output).contains("a path of more than"), "{}", stderr(&output));
    // What a test can't remove, rm(1) can.
    assert!(Command::new("rm").arg("-r").arg(place.0.join("folder")).status().unwrap().success());
}

#[test]
fn what_is_mounted_in_a_folder_is_not_copied() {
    let place = folder("mkdir mnt proc");
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let script = format!(
        "mount -t tmpfs none folder/mnt && echo x >folder/mnt/file && mount -t proc proc folder/proc && \
         '{xtask}' rootfs --source folder --to rootfs; echo $?; ls -A rootfs/mnt rootfs/proc"
    );
    let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\nrootfs/mnt:\n\nrootfs/proc:\n", "{}", stderr(&output));
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused() {
    let place = folder("mkfifo ../fifo");
    for source in ["fifo", "/dev/zero"] {
        let output = place.xtask(&["--source", source]).current_dir(&place.0).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("neither a file nor a folder"), "{}", stderr(&output));
    }
}
