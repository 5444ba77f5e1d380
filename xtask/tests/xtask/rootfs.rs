//! The sources of a rootfs, and everything that can go wrong with each.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::host::Host;

mod archives;
mod directories;

/// A test's own directory, with a cache in it. It is removed when the test ends.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new() -> Sandbox {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Not in /tmp, where a machine may not let anyone execute a file.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rootfs-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Sandbox(path)
    }

    fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["rootfs", "--to"]).arg(self.rootfs()).args(args);
        command.env("XDG_CACHE_HOME", self.0.join("cache")).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        // The mirrors are on this machine.
        command.env("no_proxy", "*");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.xtask(args).output().unwrap()
    }

    /// Asserts that only the goal, its lock, the cache and the test's own files are left, and no half-made rootfs.
    #[track_caller]
    fn assert_tidy(&self) {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with(".rootfs.") && name != ".rootfs.lock");
        assert!(names.is_empty(), "left behind: {names:?}");
        let part = walk(&self.0.join("cache")).into_iter().find(|path| path.extension().is_some_and(|it| it == "part"));
        assert_eq!(part, None);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Some directories in it may be closed, even to an ordinary user who owns them.
        let _ = fs::remove_dir_all(&self.0).or_else(|_| lab::rootfs::remove(&self.0).map_err(std::io::Error::other));
    }
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        all.extend(if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] });
    }
    all
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the errors: the lines on stderr that don't announce a long task.
fn failure(output: &Output) -> String {
    let announces = |line: &&str| {
        ["downloading ", "unpacking ", "copying "].iter().any(|task| line.starts_with(&format!("rootfs: {task}")))
    };
    stderr(output).lines().filter(|line| !announces(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the path of a program of this machine.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file()).unwrap()
}

/// Returns a tarball with the structure of Alpine's and a set-user-ID program, and its SHA-512.
fn tarball(sandbox: &Sandbox) -> (Vec<u8>, String) {
    let directory = sandbox.0.join("directory");
    for name in ["bin", "etc", "proc", "dev"] {
        fs::create_dir_all(directory.join(name)).unwrap();
    }
    fs::write(directory.join("bin/busybox"), vec![b'x'; 100_000]).unwrap();
    fs::set_permissions(directory.join("bin/busybox"), fs::Permissions::from_mode(0o4755)).unwrap();
    let _ = std::os::unix::fs::symlink("/bin/busybox", directory.join("bin/sh"));
    let file = sandbox.0.join("tarball");
    let tar = Command::new("tar").args(["-cz", "-f"]).arg(&file).arg("-C").arg(&directory).arg(".").status().unwrap();
    assert!(tar.success());
    let sum = Command::new("sha512sum").arg(&file).output().unwrap().stdout;
    (fs::read(&file).unwrap(), String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned())
}

/// Starts a web server on loopback that gives every visitor the same answer, and returns its address.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/alpine", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut visitor in listener.incoming().flatten() {
            // The request is so short that one read gets it.
            let _ = visitor.read(&mut [0; 4096]);
            answer(&mut visitor);
        }
    });
    address
}

fn reply(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn serve(reply: Vec<u8>) -> String {
    server(move |visitor| drop(visitor.write_all(&reply)))
}

#[test]
fn a_download_with_the_right_sum_becomes_the_rootfs_and_is_kept() {
    let sandbox = Sandbox::new();
    let (bytes, sum) = tarball(&sandbox);
    let mirror = serve(reply("200 OK", bytes.len(), &bytes));
    let output = sandbox.run(&["--source", "alpine", "--mirror", &mirror, "--sha512", &sum]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(sandbox.rootfs().join("etc/mini-docker")).unwrap(), "Alpine 3.19.1\n");
    assert_eq!(fs::read_link(sandbox.rootfs().join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
    sandbox.assert_tidy();

    // Now offline, because nothing listens on port 1.
    let again = ["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine", "--sha512", &sum, "--force"];
    let output = sandbox.run(&again);
    assert!(output.status.success(), "{}", stderr(&output));

    // A cache that was damaged since then isn't used.
    let cached =
        walk(&sandbox.0.join("cache")).into_iter().find(|path| path.extension().is_some_and(|it| it == "gz")).unwrap();
    fs::write(cached, "damaged").unwrap();
    assert!(!sandbox.run(&again).status.success());
}

/// Asserts that a download fails with `reason` in one line, and leaves nothing.
#[track_caller]
fn assert_fails(mirror: &str, reason: &str) {
    let sandbox = Sandbox::new();
    // Not the sum of anything.
    let args = ["--source", "alpine", "--mirror", mirror, "--sha512", &"0".repeat(128)];
    let output = sandbox.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(failure(&output).contains(reason), "no {reason:?} in: {}", stderr(&output));
    assert_eq!(failure(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(!sandbox.rootfs().exists());
    sandbox.assert_tidy();
}

#[test]
fn a_download_that_fails_leaves_the_old_rootfs_alone() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.rootfs().join("etc")).unwrap();
    fs::write(sandbox.rootfs().join("etc/mini-docker"), "an old one\n").unwrap();
    let output = sandbox.run(&["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(sandbox.rootfs().join("etc/mini-docker")).unwrap(), "an old one\n");
    sandbox.assert_tidy();
}

#[test]
fn a_download_with_another_sum_is_refused() {
    let (bytes, _) = tarball(&Sandbox::new());
    assert_fails(&serve(reply("200 OK", bytes.len(), &bytes)), "it is another release, or was cut short or changed");
}

#[test]
fn a_login_page_instead_of_a_tarball_is_refused() {
    let page = b"<!DOCTYPE html><title>Welcome to our hotel</title>";
    assert_fails(&serve(reply("200 OK", page.len(), page)), "does this network ask for a login?");
}

#[test]
fn a_missing_file_is_said_to_be_missing() {
    assert_fails(&serve(reply("404 Not Found", 0, b"")), "404");
}

#[test]
fn an_empty_answer_is_refused() {
    assert_fails(&serve(reply("200 OK", 0, b"")), "it is empty");
}

#[test]
fn a_connection_that_breaks_off_is_refused() {
    let (bytes, _) = tarball(&Sandbox::new());
    assert_fails(&serve(reply("200 OK", bytes.len(), &bytes[..bytes.len() / 2])), "curl: (18)");
}

#[test]
fn a_full_disk_below_the_cache_is_an_error_and_leaves_none() {
    let sandbox = Sandbox::new();
    let bytes = vec![b'x'; 300_000];
    let mirror = serve(reply("200 OK", bytes.len(), &bytes));
    let script = format!(
        "mkdir cache && mount -t tmpfs -o size=100k none cache && XDG_CACHE_HOME=$PWD/cache '{}' rootfs --source alpine \
         --mirror {mirror} --to rootfs; echo $?; find cache -name '*.part'",
        env!("CARGO_BIN_EXE_xtask")
    );
    let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
    assert!(!sandbox.rootfs().exists());
}

/// Returns the names and modes of everything in a rootfs.
fn modes(rootfs: &Path) -> String {
    let find = Command::new("find").args([".", "-printf", "%m %p\\n"]).current_dir(rootfs).output().unwrap();
    let text = String::from_utf8(find.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn a_server_that_is_not_there_is_given_up_at_once() {
    assert_fails("http://127.0.0.1:1/alpine", "curl: (7)");
}

#[test]
fn a_download_without_an_end_is_given_up() {
    // It does end, far behind the limit, so that the test ends even if it fails.
    let endless = server(|visitor| {
        let _ = visitor.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        (0..4000).try_for_each(|_| visitor.write_all(&[0; 1 << 16])).unwrap_or_default();
    });
    assert_fails(&endless, "is larger than 64 MiB");
}

#[test]
fn without_alpine_there_is_a_fallback_and_one_line_says_why() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["--mirror", "http://127.0.0.1:1/alpine"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = failure(&output);
    assert!(text.starts_with("rootfs: no rootfs from Alpine 3.19.1: curl: (7)"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("rootfs: made "), "{text}");
    sandbox.assert_tidy();
}

/// Returns the top-level directories and their modes.
fn shape(rootfs: &Path) -> Vec<String> {
    let mut shape: Vec<String> = fs::read_dir(rootfs)
        .unwrap()
        .flatten()
        .map(|entry| {
            format!("{} {:o}", entry.file_name().display(), entry.metadata().unwrap().permissions().mode() & 0o7777)
        })
        .filter(|line| !line.starts_with("lib64 "))
        .collect();
    shape.sort();
    shape
}

#[test]
fn a_tarball_or_a_directory_can_be_named() {
    let sandbox = Sandbox::new();
    tarball(&sandbox);
    for name in ["tarball", "directory"] {
        let source = sandbox.0.join(name);
        let output = sandbox.run(&["--force", "--source", source.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr(&output));
        let busybox = sandbox.rootfs().join("bin/busybox");
        assert_eq!(fs::metadata(&busybox).unwrap().mode() & 0o7777, 0o755, "the set-user-ID bit stays outside");
        assert_eq!(fs::read_link(sandbox.rootfs().join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
        sandbox.assert_tidy();
    }
}

#[test]
fn what_is_not_a_rootfs_is_refused() {
    let sandbox = Sandbox::new();
    for (source, reason) in [
        ("/no/such/file", "there is no such file or directory"),
        ("/etc/passwd", "it is not a tarball"),
        ("alpin", "sources: alpine, busybox, host"),
    ] {
        let output = sandbox.run(&["--source", source]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        assert!(!sandbox.rootfs().exists());
        sandbox.assert_tidy();
    }
}

#[test]
fn somebodys_own_rootfs_is_not_replaced_without_force() {
    let sandbox = Sandbox::new();
    tarball(&sandbox);
    let source = sandbox.0.join("tarball").into_os_string().into_string().unwrap();
    fs::create_dir(sandbox.rootfs()).unwrap();
    fs::write(sandbox.rootfs().join("mine"), "my work").unwrap();
    for args in [&["--source", &source][..], &[]] {
        let output = sandbox.run(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("wasn't created by xtask; use --force to replace it"), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(sandbox.rootfs().join("mine")).unwrap(), "my work");
    }
    assert!(sandbox.run(&["--source", &source, "--force"]).status.success());
    assert!(!sandbox.rootfs().join("mine").exists());
    sandbox.assert_tidy();
}

#[test]
fn a_full_disk_is_an_error_and_leaves_none() {
    let sandbox = Sandbox::new();
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let script = format!(
        "mount -t tmpfs -o size=200k none . && cd \"$PWD\" && '{xtask}' rootfs --source host --to rootfs; echo $?; ls -A"
    );
    let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n.rootfs.lock\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
}

#[test]
fn a_rootfs_with_a_mount_in_it_is_not_removed() {
    let sandbox = Sandbox::new();
    tarball(&sandbox);
    let source = sandbox.0.join("tarball");
    assert!(sandbox.run(&["--source", source.to_str().unwrap()]).status.success());
    let xtask = env!("CARGO_BIN_EXE_xtask");
    // A mount point elsewhere that isn't UTF-8 must not hide the one in the rootfs.
    let odd = "mkdir -p rootfs/$(printf 'us\\351b') && mount -t tmpfs none rootfs/us?b";
    let script =
        format!("{odd} && mount -t tmpfs none rootfs/etc && '{xtask}' rootfs --source tarball --force --to rootfs");
    let output = Host::new().in_directory(&sandbox.0).sh(&script).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`sudo umount "), "{}", stderr(&output));
    assert!(sandbox.rootfs().join("bin/busybox").is_file());
}

#[test]
fn an_old_rootfs_that_was_moved_away_comes_back() {
    let sandbox = Sandbox::new();
    // A run that is killed between its two renames leaves it like this.
    let old = sandbox.0.join(".rootfs.old.rootfs");
    fs::create_dir_all(old.join("etc")).unwrap();
    fs::write(old.join("etc/mini-docker"), "an old one\n").unwrap();
    fs::create_dir(sandbox.0.join(".rootfs.new.1")).unwrap();
    let output = sandbox.run(&["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(sandbox.rootfs().join("etc/mini-docker")).unwrap(), "an old one\n");
    sandbox.assert_tidy();
    // Somebody's own comes back as well, and isn't replaced without --force.
    fs::rename(sandbox.rootfs(), &old).unwrap();
    fs::remove_file(old.join("etc/mini-docker")).unwrap();
    let output = sandbox.run(&["--source", "host"]);
    assert!(stderr(&output).contains("wasn't created by xtask; use --force"), "{}", stderr(&output));
    assert!(sandbox.rootfs().join("etc").is_dir());
    sandbox.assert_tidy();
    // Another rootfs in the same directory has an old one of its own.
    fs::rename(sandbox.rootfs(), sandbox.0.join(".rootfs.old.other")).unwrap();
    let output = sandbox.run(&["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(sandbox.0.join(".rootfs.old.other/etc").is_dir() && !sandbox.rootfs().exists());
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: waits for ten seconds"]
    fn a_server_that_sends_nothing_is_announced_at_once_and_given_up_after_some_seconds() {
        let sandbox = Sandbox::new();
        let mirror = server(|_| thread::sleep(Duration::from_secs(60)));
        let args = ["--source", "alpine", "--mirror", &mirror, "--sha512", &"0".repeat(128)];
        let start = Instant::now();
        let mut xtask = sandbox.xtask(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(xtask.stderr.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        // A second on a quiet machine; the server is given up after ten.
        assert!(first.starts_with("rootfs: downloading http://127.0.0.1:") && start.elapsed().as_secs() < 5, "{first}");
        let second = lines.next().unwrap();
        assert!(second.contains("curl: (28)") && lines.next().is_none(), "{second}");
        assert_eq!(xtask.wait().unwrap().code(), Some(1));
        sandbox.assert_tidy();
    }

    #[test]
    #[ignore = "slow: makes a rootfs many times"]
    fn two_at_once_do_not_harm_each_other() {
        let sandbox = Sandbox::new();
        let start = |args: &[&str]| sandbox.xtask(args).stderr(Stdio::piped()).spawn().unwrap();
        let (host, force) = (["--source", "host"], ["--source", "host", "--force"]);
        for together in [[start(&host), start(&host), start(&host)], [start(&force), start(&host), start(&force)]] {
            for xtask in together {
                let output = xtask.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", stderr(&output));
            }
        }
        assert!(sandbox.rootfs().join("bin/ls").is_file());
        sandbox.assert_tidy();
    }

    #[test]
    #[ignore = "slow: makes a rootfs many times"]
    fn the_umask_does_not_show() {
        let sandbox = Sandbox::new();
        let deep = sandbox.0.join("directory/etc/deep");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(deep.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o754)).unwrap();
        tarball(&sandbox);
        for source in ["host", sandbox.0.join("tarball").to_str().unwrap()] {
            let made = ["022", "077", "000"].map(|umask| {
                let script = format!("umask {umask} && exec \"$@\"");
                let mut shell = Command::new("sh");
                shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_xtask"), "rootfs", "--force", "--source", source]);
                let output = shell.arg("--to").arg(sandbox.rootfs()).output().unwrap();
                assert!(output.status.success(), "{}", stderr(&output));
                modes(&sandbox.rootfs())
            });
            assert_eq!(made[0], made[1], "{source}");
            assert_eq!(made[0], made[2], "{source}");
        }
    }

    #[test]
    #[ignore = "slow: makes a rootfs many times"]
    fn killed_at_any_moment_it_leaves_a_complete_rootfs_or_none() {
        let sandbox = Sandbox::new();
        for milliseconds in [1, 5, 20, 50, 100, 150, 200, 300] {
            let mut xtask = sandbox.xtask(&["--source", "host", "--force"]).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(milliseconds));
            xtask.kill().unwrap();
            xtask.wait().unwrap();
            if sandbox.rootfs().exists() {
                assert!(sandbox.rootfs().join("etc/mini-docker").is_file(), "{milliseconds} ms");
            }
        }
        let output = sandbox.run(&["--source", "host", "--force"]);
        assert!(output.status.success(), "{}", stderr(&output));
        sandbox.assert_tidy();
    }

    #[test]
    #[ignore = "slow: makes a rootfs many times"]
    fn a_download_cut_anywhere_is_refused() {
        let (bytes, sum) = tarball(&Sandbox::new());
        let last = bytes.len() - 1;
        let cuts = [0, 1, 2, 9, 10, 11, 63, 64, 65, 99, 100, last / 3, last / 2, last - 8, last - 1, last];
        for (cut, has_length) in cuts.iter().flat_map(|cut| [(*cut, true), (*cut, false)]) {
            // Without its length, curl(1) can't tell that something is missing; only the sum can.
            let answer = match has_length {
                true => reply("200 OK", bytes.len(), &bytes[..cut]),
                false => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &bytes[..cut]].concat(),
            };
            let sandbox = Sandbox::new();
            let output = sandbox.run(&["--source", "alpine", "--mirror", &serve(answer), "--sha512", &sum]);
            let text = failure(&output);
            assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{cut} {has_length}: {text}");
            assert!(!sandbox.rootfs().exists(), "{cut} {has_length}: {text}");
            sandbox.assert_tidy();
        }
    }

    #[test]
    #[ignore = "slow: makes a rootfs many times"]
    fn a_rootfs_of_this_machines_programs_has_alpines_directories() {
        let sandbox = Sandbox::new();
        let output = sandbox.run(&["--source", "host"]);
        assert!(output.status.success(), "{}", stderr(&output));
        archives::assert_is_sane(&sandbox.rootfs());
        // As in Alpine 3.19.4's minirootfs.
        let alpine = "bin 755,dev 755,etc 755,home 755,lib 755,media 755,mnt 755,opt 755,proc 555,root 700,run 755,sbin 755,\
                      srv 755,sys 555,tmp 1777,usr 755,var 755";
        assert_eq!(shape(&sandbox.rootfs()).join(","), alpine);
        assert!(!sandbox.rootfs().join("bin/bash").exists());
    }
}
