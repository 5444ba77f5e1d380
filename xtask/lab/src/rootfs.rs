//! Where `./rootfs` comes from: Alpine's minirootfs, a busybox, this machine's own programs, or what the user names.
//!
//! Whatever happens while one is made (Ctrl-C, a full disk, a wrong download), there is either the old rootfs or none: it
//! is made beside its goal, checked, and moved there by rename(2). A stamp inside says who made it and from what; a
//! rootfs without one is somebody's own work. What a user names may come from anybody: see [`untrusted`].

use std::env::consts::ARCH;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use duct::cmd;
use nix::sys::stat::{Mode, umask};
use nix::sys::utsname::uname;

use crate::{mountinfo, workspace};

pub mod untrusted;

/// The release that everything in the book was seen with.
const ALPINE: &str = "3.19.1";
/// Who serves it; `--mirror` replaces this.
const ALPINE_SERVER: &str = "https://dl-cdn.alpinelinux.org/alpine";
/// Its SHA-512 sums, by Alpine's name of the architecture, as published beside each tarball.
const ALPINE_SHA512: [(&str, &str); 3] = [
    (
        "x86_64",
        "3b7117f35fd2af2b7a7a23f766636e8df29996fd4ea6a18b11ca4dc45f7b6adfcc04d93d6b59ecaaee356ec91aca8b1ad29bf282f013ec4ba8fd461ebe775791",
    ),
    (
        "aarch64",
        "11ea295c15b6e2c17c9f55762fe78f9df6a5b7ca5c1c231326892d94e5abbfd2d3d1871933141d839e6fddc8c1ac3f8c91b2bb36a7fd41c2b51e05b6e49d5a61",
    ),
    (
        "armv7",
        "209e3a1be5573302a9e3c64ef9a373d44c69029068802a144aeb506fefc210b4ef64a70a9f2046079f30d78941b37bfdca94634d3e0a64d0da187d36e3845fba",
    ),
];

/// Alpine's top-level folders and their modes, which every other source copies.
const FOLDERS: [(&str, u32); 17] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("lib", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
];

/// What a rootfs made of this machine's programs gets, if the machine has it.
const PROGRAMS: &str = "awk basename cat chmod chroot clear cp cut date dd df dirname du echo env expr false find free \
    grep head hostname id ip kill less ln ls mkdir mknod more mount mv nproc printf ps pwd readlink rm rmdir sed seq setsid sh \
    sleep sort stat stty tail tee test touch tr true tty umount uname uniq unshare vi wc which whoami xargs yes";
/// What the book and the tests can't do without.
const NEEDED: [&str; 12] =
    ["cat", "env", "grep", "hostname", "ls", "printf", "ps", "readlink", "stty", "sh", "sleep", "whoami"];

/// Says, inside a rootfs, that we made it and from what.
const STAMP: &str = "etc/mini-docker";

/// Where a rootfs can come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Alpine's minirootfs, downloaded once and kept.
    Alpine,
    /// A busybox on this machine.
    Busybox,
    /// This machine's own programs with the libraries they need.
    Host,
    /// A tarball or a folder.
    Path(PathBuf),
}

impl From<OsString> for Source {
    fn from(name: OsString) -> Self {
        match name.to_str() {
            Some("alpine") => Source::Alpine,
            Some("busybox") => Source::Busybox,
            Some("host") => Source::Host,
            // Absolute, for the stamp tells it, and that is read in any folder.
            _ => Source::Path(std::path::absolute(&name).unwrap_or(name.into())),
        }
    }
}

impl Source {
    /// A word for it, for the name of a folder.
    pub fn short(&self) -> &'static str {
        match self {
            Source::Alpine => "alpine",
            Source::Busybox => "busybox",
            Source::Host => "host",
            Source::Path(_) => "path",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Alpine => write!(f, "Alpine {ALPINE}"),
            Source::Busybox => write!(f, "this machine's busybox"),
            Source::Host => write!(f, "this machine's own programs"),
            Source::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What `xtask rootfs` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The only source to use; `None` tries Alpine, busybox and host in this order.
    pub source: Option<Source>,
    /// Another server of Alpine's releases, such as `https://mirror.example.org/alpine`.
    pub mirror: Option<String>,
    /// The SHA-512 to expect instead of the pinned one, in hexadecimal.
    pub sha512: Option<String>,
    /// Replace a rootfs that is there, even one that we did not make.
    pub force: bool,
    /// Where to make it; `None` means `./rootfs`.
    pub to: Option<PathBuf>,
}

/// `cargo xtask rootfs`: makes a rootfs, or says that it is there.
///
/// # Errors
/// When no source can be had, or a rootfs that we did not make is in the way.
pub fn run(options: &Options) -> Result<ExitCode> {
    let goal = options.to.clone().unwrap_or_else(workspace::rootfs);
    make(&std::path::absolute(goal)?, options)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that there is a `./rootfs`, ours or not.
///
/// # Errors
/// When there is none and none can be made.
pub fn ensure() -> Result<()> {
    let goal = workspace::rootfs();
    // Whatever else it is, the step that is to run in it will say what is wrong with it.
    if is_missing(&goal) { make(&goal, &Options::default()) } else { Ok(()) }
}

/// Is there nothing, or a folder with nothing in it?
fn is_missing(goal: &Path) -> bool {
    goal.symlink_metadata().is_err() || fs::read_dir(goal).is_ok_and(|mut entries| entries.next().is_none())
}

/// What is wrong with the rootfs at `goal`, if it is there and something is.
pub fn flaw(goal: &Path) -> Option<&'static str> {
    match () {
        () if is_missing(goal) => None,
        () if !goal.is_dir() => Some("is no folder"),
        () if !has_shell(goal) => Some("has no /bin/sh"),
        () if !goal.join("proc").is_dir() => Some("has no /proc"),
        () => None,
    }
}

/// Is there a shell in that rootfs? It may be a link, as in Alpine, and its folder may be one, as where /bin is usr/bin. But
/// links are absolute as the container sees them: followed here, they would lead to this machine's own.
fn has_shell(rootfs: &Path) -> bool {
    let is_there = |folder: &str| {
        let mut parents = Path::new(folder).ancestors().map(|it| rootfs.join(it));
        parents.all(|it| it == rootfs || it.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()))
            && rootfs.join(folder).join("sh").symlink_metadata().is_ok()
    };
    is_there("bin") || is_there("usr/bin")
}

/// The variable by which `cargo xtask test --source` names the folder whose `rootfs/` the tests use.
pub const TEST_DIRECTORY: &str = "MINI_DOCKER_TEST_DIRECTORY";

/// The folder that tests run in, with a pristine `rootfs/` in it.
///
/// # Errors
/// When there is no rootfs and none can be made.
pub fn test_directory() -> Result<PathBuf> {
    let room = std::env::var_os(TEST_DIRECTORY)
        .map_or_else(|| workspace::test_directory("any"), |it| Ok(PathBuf::from(it)))?;
    if room.join("rootfs").symlink_metadata().is_err() {
        make(&room.join("rootfs"), &Options::default())?;
    }
    Ok(room)
}

/// What `goal` was made from, if we made it.
pub fn stamp(goal: &Path) -> Option<String> {
    let stamp = goal.join(STAMP);
    let is_ours = stamp.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    is_ours.then(|| fs::read_to_string(&stamp).ok()).flatten().map(|text| text.trim().to_owned())
}

/// Makes a rootfs at `goal`.
///
/// # Errors
/// When no source can be had, or something that we did not make is in the way.
pub fn make(goal: &Path, options: &Options) -> Result<()> {
    let folder = goal.parent().context("a rootfs has a parent folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let _lock = lock(&folder.join(".rootfs.lock"))?;

    if !options.force && !is_missing(goal) {
        let Some(stamp) = stamp(goal) else {
            bail!("{} is there, and not of our making: to replace it, say --force", goal.display());
        };
        // Any will do unless one was named.
        if options.source.as_ref().is_none_or(|source| stamp == source.to_string()) {
            eprintln!("rootfs: {} is there, made from {stamp} (--force makes it anew)", goal.display());
            return Ok(());
        }
    }

    let old = folder.join(".rootfs.old");
    if old.exists() && goal.symlink_metadata().is_err() {
        // An earlier run was killed between its two renames.
        fs::rename(&old, goal).with_context(|| format!("moving {} back", old.display()))?;
    }
    sweep(folder);
    // Its own name for each run: a tar may outlive the killed run that started it, and still be writing.
    let room = folder.join(format!("{NEW}{}", std::process::id()));
    let start = Instant::now();
    // Nobody else may enter: until it is made harmless, there may be set-user-ID programs of anybody's in it.
    DirBuilder::new().mode(0o700).create(&room).with_context(|| format!("making {}", room.display()))?;
    let new = room.join("rootfs");
    // Other users may run in a rootfs of root's, so it must not have the modes of root's secrets.
    let usual = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let made = fill_from_first(&new, options).and_then(|source| write_stamp(&new, &source).map(|()| source));
    umask(usual);
    let made = made.and_then(|source| replace(goal, &new, &old).map(|()| source));
    let tidy = remove(&room);
    eprintln!("rootfs: made {} from {} in {:.1} s", goal.display(), made?, start.elapsed().as_secs_f64());
    tidy.and_then(|()| remove(&old))
}

/// How the name of the folder begins in which a rootfs is made, beside its goal.
const NEW: &str = ".rootfs.new.";

/// Removes what interrupted runs left, as far as that can be had.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == ".rootfs.old" || name.as_encoded_bytes().starts_with(NEW.as_bytes()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Moves `new` to `goal`, and what was there to `old`. When the second move fails, the first is taken back.
fn replace(goal: &Path, new: &Path, old: &Path) -> Result<()> {
    let was_there = goal.symlink_metadata().is_ok();
    if was_there {
        if goal.is_dir() {
            refuse_mounts(goal)?;
        }
        fs::rename(goal, old).with_context(|| format!("moving the old {} away", goal.display()))?;
    }
    fs::rename(new, goal).with_context(|| format!("moving the new rootfs to {}", goal.display())).inspect_err(|_| {
        if was_there {
            let _ = fs::rename(old, goal);
        }
    })
}

/// Stamps a rootfs. What we unpacked may have a link there, which is not to be followed.
fn write_stamp(new: &Path, source: &Source) -> Result<()> {
    let stamp = new.join(STAMP);
    if stamp.symlink_metadata().is_ok() {
        fs::remove_file(&stamp).context("removing a stamp that was in the source")?;
    }
    File::create_new(&stamp).and_then(|mut file| writeln!(file, "{source}")).context("stamping the rootfs")
}

/// Fills `new` from the source that was named, or from the first that can be had.
fn fill_from_first(new: &Path, options: &Options) -> Result<Source> {
    if let Some(source) = &options.source {
        fill(new, source, options).with_context(|| format!("no rootfs from {source}"))?;
        return Ok(source.clone());
    }
    for source in [Source::Alpine, Source::Busybox, Source::Host] {
        match fill(new, &source, options) {
            Ok(()) => return Ok(source),
            Err(error) => {
                eprintln!("rootfs: no rootfs from {source}: {error:#}; going on without");
                remove(new)?;
            }
        }
    }
    bail!(
        "no source for a rootfs. Install a static busybox (Debian: `sudo apt install busybox-static`), or download \
         {} on another machine and name it: `cargo xtask rootfs --source FILE`",
        alpine_url(options).unwrap_or_else(|_| "Alpine's minirootfs".into())
    )
}

fn fill(new: &Path, source: &Source, options: &Options) -> Result<()> {
    fs::create_dir(new).with_context(|| format!("making {}", new.display()))?;
    match source {
        Source::Alpine => untrusted::unpack(&alpine_tarball(options)?, new, &untrusted::LIMITS)?,
        Source::Busybox => fill_with_busybox(new)?,
        Source::Host => fill_with_programs(new)?,
        Source::Path(path) if path.is_dir() => untrusted::copy_folder(path, new, &untrusted::LIMITS)?,
        Source::Path(path) => {
            ensure!(
                path.exists(),
                "there is no such file or folder (sources: alpine, busybox, host, a tarball, a folder)"
            );
            ensure!(path.is_file(), "it is neither a file nor a folder");
            if let Some(sum) = &options.sha512 {
                verify(path, sum)?;
            }
            untrusted::unpack(path, new, &untrusted::LIMITS)?;
        }
    }
    // A tarball may have an entry for the top folder itself.
    fs::set_permissions(new, Permissions::from_mode(0o755))?;
    untrusted::make_harmless(new, &untrusted::LIMITS)?;
    ensure!(has_shell(new), "it has no /bin/sh, so it is no root file system");
    // Where step 4 mounts, and where the stamp goes.
    for name in ["proc", "etc"] {
        // Not through a link, which may lead out of it.
        match new.join(name).symlink_metadata() {
            Ok(metadata) => ensure!(metadata.is_dir(), "its /{name} is no folder"),
            Err(_) => fs::create_dir(new.join(name)).with_context(|| format!("making {name}/ in it"))?,
        }
    }
    Ok(())
}

/// Alpine's name for this machine's architecture.
///
/// # Errors
/// When Alpine 3.19 has no release for it.
fn alpine_arch() -> Result<&'static str> {
    Ok(match ARCH {
        "x86_64" => "x86_64",
        "x86" => "x86",
        "aarch64" => "aarch64",
        // Rust's name covers both; the kernel's tells: armv6l, armv7l, and armv8l or aarch64 on a 64-bit machine.
        "arm" if uname()?.machine().as_encoded_bytes().starts_with(b"armv6") => "armhf",
        "arm" => "armv7",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "s390x" => "s390x",
        other => bail!("Alpine 3.19 has no release for {other}"),
    })
}

fn alpine_url(options: &Options) -> Result<String> {
    let server = options.mirror.as_deref().unwrap_or(ALPINE_SERVER).trim_end_matches('/');
    let (branch, _) = ALPINE.rsplit_once('.').context("a release is three numbers")?;
    let arch = alpine_arch()?;
    Ok(format!("{server}/v{branch}/releases/{arch}/alpine-minirootfs-{ALPINE}-{arch}.tar.gz"))
}

/// The verified tarball in the cache, downloaded if it isn't there.
fn alpine_tarball(options: &Options) -> Result<PathBuf> {
    let (url, arch) = (alpine_url(options)?, alpine_arch()?);
    let pinned = ALPINE_SHA512.iter().find(|(name, _)| *name == arch).map(|(_, sum)| *sum);
    let sum = options.sha512.as_deref().or(pinned).with_context(|| {
        format!("no SHA-512 is pinned for {arch}: pass the one published at {url}.sha512 with --sha512")
    })?;
    let cache = workspace::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("making the cache {}", cache.display()))?;
    // Another checkout may be downloading to the same place.
    let _lock = lock(&cache.join("lock"))?;
    let tarball = cache.join(format!("alpine-minirootfs-{ALPINE}-{arch}.tar.gz"));
    if tarball.exists() && verify(&tarball, sum).is_ok() {
        return Ok(tarball);
    }
    let part = tarball.with_extension("part");
    let result = download(&url, &part, options.mirror.is_some())
        .and_then(|()| verify(&part, sum).with_context(|| format!("what came from {url} is not the release")))
        .and_then(|()| fs::rename(&part, &tarball).context("keeping the download"));
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.map(|()| tarball)
}

/// In bytes; the release has some three million.
const LARGEST_DOWNLOAD: u64 = 64 << 20;

/// Downloads with curl(1). It gives up on a server that can't be reached in 5 seconds, or sends less than 1 KiB a second for
/// 10 seconds.
fn download(url: &str, part: &Path, any_protocol: bool) -> Result<()> {
    let terminal = io::stderr().is_terminal();
    if terminal {
        eprintln!("rootfs: downloading {url}");
    }
    // A mirror of one's own may speak plain HTTP, for the sum is checked anyway.
    let protocols = if any_protocol { "=https,http" } else { "=https" };
    let common = ["--fail", "--location", "--proto", protocols, "--connect-timeout", "5"];
    let limits = ["--speed-limit", "1024", "--speed-time", "10"];
    let how = if terminal { ["--progress-bar"].as_slice() } else { &["--silent", "--show-error"] };
    let args = [&common, limits.as_slice(), how].concat();
    let args = args.into_iter().map(OsStr::new).chain([OsStr::new("--output"), part.as_os_str(), OsStr::new(url)]);
    // A server may send for ever.
    let mut curl = untrusted::limited("curl", LARGEST_DOWNLOAD);
    // The progress bar and the error of curl share stderr, so only one of them can be had.
    curl.args(args).stdin(Stdio::null()).stderr(if terminal { Stdio::inherit() } else { Stdio::piped() });
    let output = curl.output().context("starting sh")?;
    ensure!(output.status.code() != Some(127), "there is no curl on this machine");
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().last().unwrap_or("curl failed, see above");
    ensure!(output.status.success(), "{reason}");
    Ok(())
}

/// # Errors
/// When the SHA-512 of `file` is not `sum`; the message tells what the file seems to be instead.
fn verify(file: &Path, sum: &str) -> Result<()> {
    let output =
        cmd!("sha512sum", "--", file).stdin_null().read().map_err(|error| missing_program(error, "sha512sum"))?;
    // A backslash is sha512sum's sign that it had to escape the name.
    let actual = output.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    if actual.eq_ignore_ascii_case(sum.trim()) {
        return Ok(());
    }
    let mut start = [0; 2];
    let length = File::open(file).and_then(|mut file| file.read(&mut start)).unwrap_or_default();
    match &start[..length] {
        [] => bail!("it is empty"),
        [0x1f, 0x8b] => {
            bail!("its SHA-512 is {actual}, not {sum}: it is another release, or was cut short or changed on its way")
        }
        _ => bail!("it is no gzip file but perhaps a web page: does this network ask for a login?"),
    }
}

fn missing_program(error: io::Error, program: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("there is no {program} on this machine"),
        _ => anyhow::Error::new(error).context(program.to_owned()),
    }
}

/// A rootfs of Alpine's shape: the folders, and who root is.
fn lay_out(new: &Path) -> Result<()> {
    for (name, mode) in FOLDERS {
        fs::create_dir_all(new.join(name))?;
        fs::set_permissions(new.join(name), Permissions::from_mode(mode))?;
    }
    for name in ["usr/bin", "usr/sbin", "usr/lib"] {
        fs::create_dir_all(new.join(name))?;
    }
    fs::write(new.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")?;
    fs::write(new.join("etc/group"), "root:x:0:root\nnobody:x:65534:\n")?;
    Ok(())
}

fn fill_with_busybox(new: &Path) -> Result<()> {
    let busybox = find("busybox").context("there is no busybox on this machine")?;
    lay_out(new)?;
    fs::copy(&busybox, new.join("bin/busybox")).context("copying busybox")?;
    copy_libraries(&busybox, new)?;
    let list = cmd!(&busybox, "--list-full").stdin_null().stderr_null().read().context("busybox --list-full")?;
    for applet in list.lines() {
        // `linuxrc` lies in `/` itself, where Alpine has nothing; and that Alpine has no bash is a lesson of step 3.
        if applet.contains('/') && !applet.ends_with("/bash") && applet != "bin/busybox" {
            let link = new.join(applet);
            fs::create_dir_all(link.parent().unwrap_or(new))?;
            symlink("/bin/busybox", &link).with_context(|| format!("linking {applet}"))?;
        }
    }
    check_needed(new, "this busybox")
}

fn fill_with_programs(new: &Path) -> Result<()> {
    lay_out(new)?;
    for name in PROGRAMS.split_whitespace() {
        // A dash complains when it ends in a PID namespace, see host.rs.
        let file = if name == "sh" { find("bash").or_else(|| find("sh")) } else { find(name) };
        let Some(program) = file else { continue };
        fs::copy(&program, new.join("bin").join(name)).with_context(|| format!("copying {}", program.display()))?;
        copy_libraries(&program, new)?;
    }
    check_needed(new, "this machine")
}

/// Programs that lie beside sh and ls: the system's own, not a version manager's wrapper in somebody's home.
fn find(name: &str) -> Option<PathBuf> {
    let folders = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/run/current-system/sw/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|program| program.is_file())
}

fn check_needed(new: &Path, whose: &str) -> Result<()> {
    let is_missing =
        |name: &&&str| ["bin", "usr/bin"].iter().all(|folder| new.join(folder).join(name).symlink_metadata().is_err());
    let missing: Vec<&str> = NEEDED.iter().filter(is_missing).copied().collect();
    ensure!(missing.is_empty(), "{whose} has no {}", missing.join(", "));
    Ok(())
}

/// Copies what ldd(1) says that a program loads, to the same places in the rootfs.
fn copy_libraries(program: &Path, new: &Path) -> Result<()> {
    // Cargo sets LD_LIBRARY_PATH for what it runs. ldd fails on a script and on a static program, which need nothing.
    let ldd = cmd!("ldd", program).env_remove("LD_LIBRARY_PATH").stdin_null().stderr_null().unchecked();
    let list = ldd.read().map_err(|error| missing_program(error, "ldd"))?;
    // `libc.so.6 => /lib/libc.so.6 (0x7f…)`, and `/lib64/ld-linux.so.2 (0x7f…)` without an arrow.
    for library in list.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
        let copy = new.join(library.strip_prefix("/").unwrap_or(library));
        if library.is_file() && copy.symlink_metadata().is_err() {
            fs::create_dir_all(copy.parent().unwrap_or(new))?;
            fs::copy(library, &copy).with_context(|| format!("copying {}", library.display()))?;
        }
    }
    Ok(())
}

/// Holds `path` locked until the file is dropped, or its process dies.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("rootfs: waiting for another xtask that is making one");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

/// Removes a rootfs, or what is left of one.
fn remove(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    let result = if folder.is_symlink() || !folder.is_dir() {
        fs::remove_file(folder)
    } else {
        refuse_mounts(folder)?;
        untrusted::remove(folder)
    };
    result.with_context(|| format!("removing {0}: if root made it, `sudo rm -r {0}`", folder.display()))
}

/// Deleting a folder with a mount in it would reach into what is mounted.
fn refuse_mounts(folder: &Path) -> Result<()> {
    match mountinfo::below(folder)?.last() {
        Some(point) => bail!("something is mounted in the old rootfs: `sudo umount {}` first", point.display()),
        None => Ok(()),
    }
}
