//! Alpine Linux's minirootfs: downloaded, verified, and kept.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use duct::cmd;
use nix::sys::utsname::uname;

use super::archive::read_output;
use super::{Options, lock, not_started};
use crate::target;

/// The release that the book was written with.
pub const RELEASE: &str = "3.19.1";
/// The server of the releases; `--mirror` replaces it.
const SERVER: &str = "https://dl-cdn.alpinelinux.org/alpine";

/// The largest download, in bytes; the release has about three million.
const LARGEST_DOWNLOAD: u64 = 64 << 20;

/// Returns Alpine's name for this machine's architecture, and the SHA-512 that is published next to its tarball.
fn architecture() -> Result<(&'static str, Option<&'static str>)> {
    let x86_64 = "3b7117f35fd2af2b7a7a23f766636e8df29996fd4ea6a18b11ca4dc45f7b6adfcc04d93d6b59ecaaee356ec91aca8b1ad29bf282f013ec4ba8fd461ebe775791";
    let aarch64 = "11ea295c15b6e2c17c9f55762fe78f9df6a5b7ca5c1c231326892d94e5abbfd2d3d1871933141d839e6fddc8c1ac3f8c91b2bb36a7fd41c2b51e05b6e49d5a61";
    let armv7 = "209e3a1be5573302a9e3c64ef9a373d44c69029068802a144aeb506fefc210b4ef64a70a9f2046079f30d78941b37bfdca94634d3e0a64d0da187d36e3845fba";
    Ok(match ARCH {
        "x86_64" => ("x86_64", Some(x86_64)),
        "x86" => ("x86", None),
        "aarch64" => ("aarch64", Some(aarch64)),
        // Rust's name covers both. The kernel tells them apart: armv6l, armv7l, and armv8l or aarch64 on a 64-bit machine.
        "arm" if uname()?.machine().as_encoded_bytes().starts_with(b"armv6") => ("armhf", None),
        "arm" => ("armv7", Some(armv7)),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "s390x" => ("s390x", None),
        other => bail!("Alpine 3.19 has no release for {other}"),
    })
}

/// Returns where the release is downloaded from.
pub fn url(options: &Options) -> Result<String> {
    let server = options.mirror.as_deref().unwrap_or(SERVER).trim_end_matches('/');
    let (branch, _) = RELEASE.rsplit_once('.').context("a release is three numbers")?;
    let (arch, _) = architecture()?;
    Ok(format!("{server}/v{branch}/releases/{arch}/alpine-minirootfs-{RELEASE}-{arch}.tar.gz"))
}

/// Returns the verified tarball in the cache, after downloading it if it isn't there.
pub fn tarball(options: &Options) -> Result<PathBuf> {
    let (url, (arch, pinned)) = (url(options)?, architecture()?);
    let sum = options.sha512.as_deref().or(pinned).with_context(|| {
        format!("no SHA-512 is pinned for {arch}: pass the one published at {url}.sha512 with --sha512")
    })?;
    let cache = target::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("making the cache {}", cache.display()))?;
    // Another checkout may be downloading to the same place.
    let _lock = lock(&cache.join("lock"))?;
    let tarball = cache.join(url.rsplit('/').next().unwrap_or_default());
    if tarball.exists() && verify(&tarball, sum).is_ok() {
        return Ok(tarball);
    }
    let part = tarball.with_extension("part");
    let result = download(&url, &part, options.mirror.is_some())
        .and_then(|()| verify(&part, sum).with_context(|| format!("{url} is not the release")))
        .and_then(|()| fs::rename(&part, &tarball).context("keeping the download"));
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.map(|()| tarball)
}

/// Downloads with curl(1). It gives up on a server that can't be reached in 5 seconds, or sends less than 1 KiB a second for
/// 10 seconds.
fn download(url: &str, part: &Path, any_protocol: bool) -> Result<()> {
    eprintln!("rootfs: downloading {url}");
    // A private mirror may use plain HTTP, because the sum is verified in any case.
    let protocols = if any_protocol { "=https,http" } else { "=https" };
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--proto", protocols, "--connect-timeout", "5"]);
    curl.args(["--speed-limit", "1024", "--speed-time", "10"]).arg(url).stdin(Stdio::null());
    // curl's progress bar and its error share stderr, so we have only one of them.
    match io::stderr().is_terminal() {
        true => curl.arg("--progress-bar"),
        false => curl.args(["--silent", "--show-error"]).stderr(Stdio::piped()),
    };
    read_output(&mut curl, |body| {
        let length = File::create(part).and_then(|mut file| io::copy(&mut body.take(LARGEST_DOWNLOAD + 1), &mut file));
        let length = length.with_context(|| format!("writing {}", part.display()))?;
        ensure!(length <= LARGEST_DOWNLOAD, "{url} is larger than {} MiB", LARGEST_DOWNLOAD >> 20);
        Ok(())
    })
}

/// Compares the SHA-512 of a file.
pub fn verify(file: &Path, sum: &str) -> Result<()> {
    let output = cmd!("sha512sum", "--", file).stdin_null().read().map_err(|error| not_started(error, "sha512sum"))?;
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
