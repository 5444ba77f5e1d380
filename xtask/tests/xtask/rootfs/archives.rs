//! Whatever a tarball contains, it becomes a rootfs within the limits or a clear error, and nothing outside changes.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Sandbox, failure, stderr};
use testkit::host::Host;

/// A tarball that is being written: tar(5).
#[derive(Clone)]
struct Tar(Vec<u8>);

impl Tar {
    /// Returns the smallest tarball that is accepted as a rootfs.
    fn rootfs() -> Tar {
        Tar(Vec::new()).directory("./").directory("bin/").directory("etc/").file("bin/sh", b"a shell\n")
    }

    fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Tar {
        self.entry(b'0', name, "", 0o644, content.len() as u64, content)
    }

    fn directory(self, name: impl AsRef<[u8]>) -> Tar {
        self.entry(b'5', name, "", 0o755, 0, b"")
    }

    fn symlink(self, name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Tar {
        self.entry(b'2', name, to, 0o777, 0, b"")
    }

    fn hard_link(self, name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Tar {
        self.entry(b'1', name, to, 0o644, 0, b"")
    }

    /// Adds an entry of any kind, whose header states any `size`.
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
        // GNU tar puts a long name into the content of an entry before this one.
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
        // The device numbers of /dev/null.
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

/// Returns everything in a sandbox except the rootfs: names, modes, inodes, links and contents.
fn outside(sandbox: &Sandbox) -> Vec<String> {
    fn list(directory: &Path, seen: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            if ["rootfs", ".rootfs.lock", "cache"].iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let is_short = metadata.is_file() && metadata.len() < 1 << 20;
            let content = if is_short { fs::read(&path).unwrap() } else { Vec::new() };
            let what = (metadata.mode(), metadata.ino(), metadata.nlink(), metadata.mtime());
            seen.push(format!("{path:?} {what:?} {:?} {}", fs::read_link(&path).ok(), content.escape_ascii()));
            if metadata.is_dir() {
                list(&path, seen);
            }
        }
    }
    let mut seen = Vec::new();
    list(&sandbox.0, &mut seen);
    seen.sort();
    seen
}

/// Returns a sandbox with somebody's files in it, which must not change.
pub(crate) fn with_victim() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.0.join("victim")).unwrap();
    fs::write(sandbox.0.join("victim/file"), "precious").unwrap();
    sandbox
}

/// Makes a rootfs from a source. Asserts that the result is a rootfs or one line of error, and that nothing outside changes.
#[track_caller]
pub(crate) fn make(sandbox: &Sandbox, what: &str, source: &str) -> Output {
    let before = outside(sandbox);
    let output = sandbox.run(&["--force", "--source", sandbox.0.join(source).to_str().unwrap()]);
    assert_eq!(outside(sandbox), before, "{what}: {}", stderr(&output));
    assert!(stderr(&output).chars().all(|c| c == '\n' || !c.is_control()), "{what}: {:?}", stderr(&output));
    if output.status.success() {
        assert_is_sane(&sandbox.rootfs());
    } else {
        assert_eq!(output.status.code(), Some(1), "{what}: {}", stderr(&output));
        assert_eq!(failure(&output).lines().count(), 1, "{what}: {}", stderr(&output));
    }
    output
}

#[track_caller]
fn unpack(sandbox: &Sandbox, what: &str, tarball: &[u8]) -> Output {
    fs::write(sandbox.0.join("tarball"), tarball).unwrap();
    make(sandbox, what, "tarball")
}

/// Asserts that a rootfs has no device, no set-user-ID bit, and the directories that the steps need.
#[track_caller]
pub(crate) fn assert_is_sane(rootfs: &Path) {
    let mut directories = vec![rootfs.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            let kind = metadata.file_type();
            assert!(!kind.is_block_device() && !kind.is_char_device(), "{:?}", entry.path());
            assert!(kind.is_symlink() || metadata.mode() & 0o6000 == 0, "{:?}", entry.path());
            directories.extend(kind.is_dir().then(|| entry.path()));
        }
    }
    for name in ["", "proc", "etc", "dev"] {
        assert!(rootfs.join(name).symlink_metadata().unwrap().is_dir(), "{name}");
    }
    assert_eq!(fs::read_dir(rootfs.join("dev")).unwrap().count(), 0);
    assert!(rootfs.join("etc/mini-docker").symlink_metadata().unwrap().is_file());
}

#[track_caller]
fn assert_refused(sandbox: &Sandbox, what: &str, tarball: &[u8], reason: &str) {
    let output = unpack(sandbox, what, tarball);
    assert_eq!(output.status.code(), Some(1), "{what}: {}", stderr(&output));
    assert!(failure(&output).contains(reason), "{what}: no {reason:?} in {}", stderr(&output));
    assert!(!sandbox.rootfs().exists(), "{what}");
    sandbox.assert_tidy();
}

#[track_caller]
fn assert_taken(sandbox: &Sandbox, what: &str, tarball: &[u8]) {
    let output = unpack(sandbox, what, tarball);
    assert!(output.status.success(), "{what}: {}", stderr(&output));
    sandbox.assert_tidy();
}

#[test]
fn names_and_links_that_lead_out_of_it_write_nothing_there() {
    let sandbox = with_victim();
    let victim = sandbox.0.join("victim").into_os_string().into_string().unwrap();
    let up = "../".repeat(40);
    let out = |rest: &str| format!("{victim}{rest}");
    let cases = [
        ("..", Tar::rootfs().file("../victim/new", b"x")),
        ("../.. over the file", Tar::rootfs().file("../../victim/file", b"x")),
        (".. to the top", Tar::rootfs().file(format!("{up}{victim}/file"), b"x")),
        (".. inside a name", Tar::rootfs().file("bin/../../victim/new", b"x")),
        ("a directory ..", Tar::rootfs().entry(b'5', "..", "", 0o777, 0, b"")),
        ("an absolute name", Tar::rootfs().file(out("/new"), b"x")),
        ("an absolute name over the file", Tar::rootfs().file(out("/file"), b"x")),
        ("an absolute directory's mode", Tar::rootfs().entry(b'5', out("/"), "", 0o777, 0, b"")),
        ("through an absolute link", Tar::rootfs().symlink("d", &victim).file("d/new", b"x")),
        ("through an absolute link, over the file", Tar::rootfs().symlink("d", &victim).file("d/file", b"x")),
        ("through a link with ..", Tar::rootfs().symlink("d", "../../victim").file("d/new", b"x")),
        ("through two links", Tar::rootfs().symlink("d", "e").symlink("e", &victim).file("d/new", b"x")),
        (
            "through two links, the other order",
            Tar::rootfs().symlink("e", &victim).symlink("d", "e").file("d/new", b"x"),
        ),
        ("a link as a file", Tar::rootfs().symlink("f", out("/file")).file("f", b"x")),
        ("a link that becomes a directory", Tar::rootfs().symlink("d", &victim).directory("d/").file("d/new", b"x")),
        ("a directory that becomes a link", Tar::rootfs().directory("d/").symlink("d", &victim).file("d/new", b"x")),
        ("the top as a link", Tar(Vec::new()).symlink(".", &victim).directory("bin/").file("bin/sh", b"")),
        (
            "/etc as a link",
            Tar(Vec::new()).symlink("etc", &victim).directory("bin/").file("bin/sh", b"").file("etc/new", b""),
        ),
        ("/proc as a link", Tar::rootfs().symlink("proc", &victim)),
        ("the stamp as a link", Tar::rootfs().symlink("etc/mini-docker", out("/file"))),
        ("a hard link out", Tar::rootfs().hard_link("f", out("/file"))),
        ("a hard link out, then written to", Tar::rootfs().hard_link("f", out("/file")).file("f", b"x")),
        ("a hard link out by ..", Tar::rootfs().hard_link("f", "../../victim/file").file("f", b"x")),
        ("a hard link through a link", Tar::rootfs().symlink("d", &victim).hard_link("f", "d/file").file("f", b"x")),
        ("a hard link to a link", Tar::rootfs().symlink("l", out("/file")).hard_link("f", "l").file("f", b"x")),
        (
            "a device in place of a directory, through a link",
            Tar::rootfs().symlink("d", &victim).entry(b'3', "d/null", "", 0o666, 0, b""),
        ),
        ("a mode through a link", Tar::rootfs().symlink("d", &victim).entry(b'5', "d/", "", 0o7777, 0, b"")),
        (
            "a set-user-ID bit through a link",
            Tar::rootfs().symlink("d", out("/file")).entry(b'0', "d", "", 0o4755, 0, b""),
        ),
    ];
    for (what, tar) in cases {
        unpack(&sandbox, what, &tar.end());
        sandbox.assert_tidy();
    }
    // The control: a change is seen.
    let before = outside(&sandbox);
    fs::write(sandbox.0.join("victim/file"), "Precious").unwrap();
    assert_ne!(outside(&sandbox), before);
}

#[test]
fn odd_but_harmless_entries_are_unpacked() {
    let sandbox = with_victim();
    let read = |name: &[u8]| fs::read(sandbox.rootfs().join(std::ffi::OsStr::from_bytes(name))).unwrap();
    let odd_name = b"etc/\xff\xfe\x1b[2J\n";
    let odd = Tar::rootfs()
        .file("etc/x", b"first")
        .file("etc/x", b"second")
        .directory("etc/")
        .file(odd_name, b"x")
        .symlink("loop", "loop")
        .entry(b'0', "bin/su", "", 0o6755, 0, b"")
        .hard_link("bin/sudo", "bin/su")
        .entry(b'5', "d", "", 0o7555, 0, b"")
        .file("d/file", b"in a directory that can't be written to")
        .file("no/entry/of/its/own", b"")
        .symlink("lib", "/usr/lib")
        .file("lib/through-a-link", b"inside")
        .entry(b'V', "a label", "", 0, 0, b"")
        .entry(b'g', "pax_global_header", "", 0, 13, b"13 comment=x\n");
    for _ in 0..2 {
        assert_taken(&sandbox, "all of it", &odd.clone().end());
    }
    assert_eq!(read(b"etc/x"), b"second");
    assert_eq!(read(odd_name), b"x");
    assert_eq!(read(b"usr/lib/through-a-link"), b"inside");
    assert_eq!(fs::metadata(sandbox.rootfs().join("bin/su")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(sandbox.rootfs().join("d")).unwrap().mode() & 0o7777, 0o1555);
    assert_taken(&sandbox, "a rootfs afterwards, over directories that can't be written to", &Tar::rootfs().end());
}

#[test]
fn devices_are_left_out_whatever_their_names_and_whichever_tar_there_is() {
    let sandbox = with_victim();
    let mut tar = Tar::rootfs().directory("lib/udev/devices/");
    for (number, kind) in [b'3', b'4', b'6'].into_iter().enumerate() {
        for name in ["/dev/null", "./dev/x", "dev/y", "lib/udev/devices/null", "etc/disk", "disk"] {
            tar = tar.entry(kind, format!("{name}{number}"), "", 0o666, 0, b"");
        }
    }
    let tar = tar.file("dev/console", b"a regular file").symlink("dev/fd", "/proc/self/fd").file("last", b"last");
    // A machine that has only gzip has no tar that could refuse.
    let bare = sandbox.0.join("cache");
    fs::create_dir(&bare).unwrap();
    symlink(super::program("gzip"), bare.join("gzip")).unwrap();
    fs::write(sandbox.0.join("tarball"), gzip(&tar.end())).unwrap();
    let mut xtask = sandbox.xtask(&["--source", sandbox.0.join("tarball").to_str().unwrap()]);
    let output = xtask.env("PATH", bare).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_is_sane(&sandbox.rootfs());
    assert_eq!(fs::read(sandbox.rootfs().join("last")).unwrap(), b"last");
    assert_eq!(fs::read_dir(sandbox.rootfs().join("lib/udev/devices")).unwrap().count(), 0);
    assert!(!sandbox.rootfs().join("etc/disk0").exists());
}

/// Returns a program of 64 bytes for the machine with that number and word size: elf(5).
pub(crate) fn elf(machine: u8, bits: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', bits / 32, 1, 1]);
    // ET_EXEC and the machine, and an ABI, which kernels for arm check.
    (header[16], header[18], header[39]) = (2, machine, 5);
    header
}

#[test]
fn a_refused_tarball_is_refused_with_the_reason() {
    let sandbox = with_victim();
    let page = b"<!DOCTYPE html><title>Welcome to our hotel</title>".repeat(100);
    let mut damaged = Tar::rootfs().end();
    damaged[512 + 3] ^= 0x55;
    let without_shell = || Tar(Vec::new()).directory("bin/");
    let with_shell =
        |program: &[u8]| Tar(Vec::new()).file("bin/busybox", program).symlink("bin/sh", "/bin/busybox").end();
    for (what, bytes, reason) in [
        ("nothing", Vec::new(), "it is empty"),
        ("a web page", page.clone(), "it is not a tarball"),
        ("a web page, compressed", gzip(&page), "it is not a tarball"),
        ("another archive", b"PK\x03\x04 and so on".repeat(100), "it is not a tarball"),
        ("zeros", vec![0; 10240], "it has no /bin/sh"),
        ("a damaged header", damaged, "it is damaged"),
        ("an unknown kind", Tar::rootfs().entry(b'M', "x", "", 0, 0, b"").end(), "\"x\" is of an unknown kind: 'M'"),
        ("a sparse file", Tar::rootfs().entry(b'S', "x", "", 0, 0, b"").end(), "\"x\" is a sparse file"),
        (
            "a long header",
            Tar::rootfs().entry(b'L', "", "", 0, 2 << 20, &[b'x'; 2 << 20]).end(),
            "a header of more than",
        ),
        ("gzip's two bytes and nonsense", b"\x1f\x8bnonsense".repeat(100), "gzip: "),
        ("a name of 4 KiB", Tar::rootfs().file("x".repeat(4096), b"").end(), "a path of more than"),
        ("a path of 3 KiB", Tar::rootfs().file("x/".repeat(1500) + "x", b"").end(), "a path of more than"),
        ("a terminal's codes", Tar::rootfs().file(b"../\x1b[2J\r\xc2\x9b", b"").end(), "leads out of it"),
        ("a directory without a shell", without_shell().end(), "it has no /bin/sh"),
        ("two directories", without_shell().file("a/bin/sh", b"").file("b/bin/sh", b"").end(), "it has no /bin/sh"),
        ("a shell that is a directory", without_shell().directory("bin/sh").end(), "it has no /bin/sh"),
        ("a link to nothing", without_shell().symlink("bin/sh", "busybox").end(), "it has no /bin/sh"),
        ("the machine's own shell", Tar(Vec::new()).symlink("bin", "/bin").end(), "it has no /bin/sh"),
        ("a file in place of /proc", Tar::rootfs().file("proc", b"").end(), "/proc is not a directory"),
        ("a directory in place of the stamp", Tar::rootfs().directory("etc/mini-docker/").end(), "stamp"),
        ("docker save", Tar(Vec::new()).directory("blobs/").file("manifest.json", b"[]").end(), "`docker export "),
        ("an OCI image", Tar(Vec::new()).directory("blobs/").file("oci-layout", b"{}").end(), "(it has oci-layout)"),
        ("an unknown machine", with_shell(&elf(0x77, 64)), "it holds programs for ELF machine 119"),
        #[cfg(not(target_arch = "s390x"))]
        ("a foreign machine", with_shell(&elf(22, 64)), "it holds programs for s390x, which this kernel can't run"),
        #[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
        ("another foreign machine", with_shell(&elf(40, 32)), "it holds programs for arm, which this kernel can't run"),
    ] {
        assert_refused(&sandbox, what, &bytes, reason);
    }
    // The control.
    assert_taken(&sandbox, "our own kind of program", &with_shell(&fs::read("/proc/self/exe").unwrap()[..64]));
}

#[test]
fn a_rootfs_of_every_kind_that_the_kernel_runs_is_taken() {
    // Only the kernel decides what it runs.
    let sandbox = with_victim();
    let is_run = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    for (machine, bits, emulator) in [(3, 32, "/lib/ld-linux.so.2"), (62, 64, "/lib64/ld-linux-x86-64.so.2")] {
        if is_run(emulator) {
            let tar = Tar(Vec::new()).file("bin/sh", &elf(machine, bits));
            assert_taken(&sandbox, emulator, &tar.end());
        }
    }
}

#[test]
fn a_foreign_rootfs_is_taken_where_an_emulator_is_registered() {
    const ENTRIES: &str = "/proc/sys/fs/binfmt_misc";
    let sandbox = with_victim();
    fs::write(sandbox.0.join("tarball"), Tar(Vec::new()).file("bin/sh", &elf(0x77, 64)).end()).unwrap();
    // An entry as the kernel shows it: the start of a header, and a mask of the bits that count.
    let entry = |machine| {
        let start = "7f454c460201010000000000000000000200";
        format!("enabled\ninterpreter /qemu\nflags: \noffset 0\nmagic {start}{machine}00\n")
    };
    for (machine, status) in [("77", Some(0)), ("76", Some(1))] {
        let script = format!(
            "mount -t tmpfs none {ENTRIES} && printf '{}' >{ENTRIES}/any && exec '{}' rootfs --source tarball --to rootfs --force",
            entry(machine),
            env!("CARGO_BIN_EXE_xtask")
        );
        // Without binfmt_misc there is no mount point.
        if Path::new(ENTRIES).exists() {
            let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
            assert_eq!(output.status.code(), status, "{machine}: {}", stderr(&output));
        }
    }
}

#[test]
fn a_single_top_directory_is_stripped() {
    let sandbox = with_victim();
    let tar = Tar(Vec::new()).entry(b'5', "root.x86_64/", "", 0o555, 0, b"").directory("root.x86_64/dev/");
    let tar = tar
        .file("root.x86_64/bin/sh", b"a shell\n")
        .file("pkglist.txt", b"all of it")
        .file("root.x86_64/dev/null", b"");
    let output = unpack(&sandbox, "as Arch Linux has it", &tar.end());
    assert!(
        failure(&output).starts_with("rootfs: using its only directory, \"root.x86_64\"\nrootfs: made "),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read(sandbox.rootfs().join("bin/sh")).unwrap(), b"a shell\n");
    assert!(!sandbox.rootfs().join("pkglist.txt").exists());
    sandbox.assert_tidy();
}

#[test]
fn every_compression_is_unpacked() {
    let sandbox = with_victim();
    let tar = Tar::rootfs().file("etc/x", &b"content\n".repeat(1000)).end();
    // Not every machine has the others. A missing program is named.
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        // bzip2 also reads its input.
        let mut version = Command::new(program);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if version.status().is_ok() {
            assert_taken(&sandbox, program, &compress(program, &tar));
            assert_eq!(fs::read(sandbox.rootfs().join("etc/x")).unwrap().len(), 8000, "{program}");
        }
        let bytes: &[u8] = match program {
            "gzip" => b"\x1f\x8b\x08\0",
            "bzip2" => b"BZh9",
            "xz" => b"\xfd7zXZ\0",
            _ => b"\x28\xb5\x2f\xfd",
        };
        fs::write(sandbox.0.join("tarball"), bytes).unwrap();
        let mut xtask = sandbox.xtask(&["--force", "--source", sandbox.0.join("tarball").to_str().unwrap()]);
        let output = xtask.env("PATH", "/no/such").output().unwrap();
        assert!(stderr(&output).contains(&format!("there is no {program} on this machine")), "{}", stderr(&output));
    }
}

#[test]
fn tarballs_of_every_tar_program_are_unpacked_the_same() {
    let sandbox = with_victim();
    let run = |script: &str| Command::new("sh").args(["-euc", script]).current_dir(&sandbox.0).output().unwrap();
    let (directory, file) = ("d".repeat(90), "f".repeat(90));
    let made = run(&format!(
        "mkdir -p source/bin source/etc source/{directory}; cd source; echo sh >bin/sh; ln bin/sh bin/ash
         echo x >'etc/na\u{ef}ve \u{540d}\u{524d}'; echo y >{directory}/{file}; ln -s /{directory}/{file} link
         chmod 640 bin/ash; chmod 555 bin {directory}"
    ));
    assert!(made.status.success(), "{}", stderr(&made));
    // The same as in the copy, except for what every rootfs has.
    let list = "find . -mindepth 1 ! -path '*/mini-docker' ! -path ./proc ! -path ./dev -printf '%y %m %P %l\\n' | LC_ALL=C sort
                find . -type f ! -path '*/mini-docker' -links -9 -printf '%n ' -exec cat {} +";
    let listed = |directory: &str| String::from_utf8(run(&format!("cd {directory}; {list}")).stdout).unwrap();
    let packers = ["gnu", "oldgnu", "pax", "ustar"].map(|format| format!("tar --format={format}"));
    let others = ["bsdtar", "bsdtar --format=gnutar", "busybox tar"].map(str::to_owned);
    let mut taken = Vec::new();
    for packer in packers.iter().chain(&others) {
        // Not every machine has all of them.
        if run(&format!("LC_ALL=C.UTF-8 {packer} -cf tarball -C source .")).status.success() {
            let mut xtask = sandbox.xtask(&["--force", "--source", sandbox.0.join("tarball").to_str().unwrap()]);
            let output = xtask.env("LC_ALL", "C").output().unwrap();
            assert!(output.status.success(), "{packer}: {}", stderr(&output));
            assert_eq!(listed("rootfs"), listed("source"), "{packer}");
            taken.push(packer);
        }
    }
    assert!(!taken.is_empty());
    run("chmod -R u+w source rootfs");
}

#[test]
fn of_two_tarballs_in_one_file_both_are_unpacked() {
    let sandbox = with_victim();
    let (first, second) = (Tar::rootfs().file("etc/x", b"1").end(), Tar(Vec::new()).file("etc/y", b"2").end());
    for tarball in [[first.clone(), second.clone()].concat(), [gzip(&first), gzip(&second)].concat()] {
        assert_taken(&sandbox, "both", &tarball);
        for name in ["etc/x", "etc/y"] {
            assert!(sandbox.rootfs().join(name).exists());
        }
    }
    fs::remove_dir_all(sandbox.rootfs()).unwrap();
    assert_refused(&sandbox, "nonsense behind", &[first, b"nonsense".repeat(64)].concat(), "it is damaged");
}

#[test]
fn a_tarball_that_was_cut_short_is_refused() {
    let sandbox = with_victim();
    let noise: Vec<u8> = (0_u32..5000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = Tar::rootfs().file("etc/noise", &noise).directory("usr/").file("usr/last", b"the end").end();
    let gz = gzip(&tar);
    for (what, complete, step) in [("a tarball", tar, 256), ("a compressed one", gz, 1000)] {
        assert_taken(&sandbox, what, &complete);
        fs::remove_dir_all(sandbox.rootfs()).unwrap();
        for length in (0..complete.len()).step_by(step) {
            // The second of the two blocks of zeros at the end isn't needed.
            if complete.len() - length != 512 || what != "a tarball" {
                assert_refused(&sandbox, &format!("{length} bytes of {what}"), &complete[..length], "");
            }
        }
    }
}

const GIB: u64 = 1 << 30;

#[test]
fn the_help_and_the_book_tell_the_limits() {
    let help = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["rootfs", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for limit in ["200000 files", "2048 MiB", "64 MiB"] {
        assert!(help.contains(limit), "no {limit} in {help}");
    }
    let book = fs::read_to_string(lab::workspace::root().join("book/text/rootfs.md")).unwrap();
    for limit in ["200,000 files and directories", "2 GiB", "2,048 bytes", "64 MiB"] {
        assert!(book.contains(limit), "no {limit} in the book");
    }
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: makes large tarballs"]
    fn directories_deeper_than_any_path_are_refused() {
        let sandbox = with_victim();
        // Each link leads to the end of the directories before it, so that the paths in the tarball stay short.
        let step = "d/".repeat(1000);
        let mut tar = Tar::rootfs().directory(&step).symlink("s0", step.trim_end_matches('/'));
        for n in 0..3 {
            tar = tar.directory(format!("s{n}/{step}")).symlink(format!("s{}", n + 1), format!("s{n}/{step}d/.."));
        }
        assert_refused(&sandbox, "directories in each other", &tar.end(), "a path of more than 2048 bytes");
    }

    #[test]
    #[ignore = "slow: makes large tarballs"]
    fn a_tarball_that_is_too_large_for_the_limits_or_the_disk_is_refused() {
        let sandbox = with_victim();
        let zeros = gzip(&vec![0; 16 << 20]);
        let end = gzip(&[0; 1024]);
        let stated = |size| gzip(&Tar::rootfs().entry(b'0', "etc/large", "", 0o644, size, b"").0);
        assert_refused(&sandbox, "more than 2 GiB", &stated(8 * GIB - 1), "larger than 2048 MiB");
        // A file that nearly fills the disk, and zeros behind the tarball's end.
        let almost = [stated(80 << 20), zeros.repeat(5), end.clone()].concat();
        let behind = [gzip(&Tar::rootfs().end()), zeros.repeat(10), end].concat();
        for (what, tarball) in [("a large file", almost), ("zeros", behind)] {
            fs::write(sandbox.0.join("tarball"), tarball).unwrap();
            let script = format!(
                "mkdir -p small && mount -t tmpfs -o size=100m none small && cd small && \
                 '{}' rootfs --source ../tarball --to rootfs; echo $?; ls -A",
                env!("CARGO_BIN_EXE_xtask")
            );
            let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n.rootfs.lock\n", "{what}: {}", stderr(&output));
            assert!(stderr(&output).contains("less than 64 MiB of the disk"), "{what}: {}", stderr(&output));
        }
    }
}
