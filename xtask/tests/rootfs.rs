//! Where a rootfs comes from, and everything that can go wrong on its way.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use xtask::host::Host;

#[path = "rootfs/hostile.rs"]
mod hostile;

/// A folder of its own for one test, with a cache in it; removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mini-docker-rootfs-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["rootfs", "--to"]).arg(self.rootfs()).args(args);
        command.env("XDG_CACHE_HOME", self.0.join("cache")).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.xtask(args).output().unwrap()
    }

    /// Nothing but the goal, its lock and the cache: no half-made folder stays.
    fn assert_tidy(&self) {
        self.assert_tidy_but(&[]);
    }

    /// The same, but for what the test put there.
    #[track_caller]
    fn assert_tidy_but(&self, known: &[&str]) {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let ours = ["rootfs", ".rootfs.lock", "cache", "tarball", "folder"];
        names.retain(|name| !ours.contains(&name.as_str()) && !known.contains(&name.as_str()));
        assert!(names.is_empty(), "left behind: {names:?}");
        let part = walk(&self.0.join("cache")).into_iter().find(|path| path.extension().is_some_and(|it| it == "part"));
        assert_eq!(part, None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        all.extend(if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] });
    }
    all
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A tarball of the shape of Alpine's, with a set-user-ID program, and its SHA-512.
fn tarball(place: &Place) -> (Vec<u8>, String) {
    let folder = place.0.join("folder");
    for name in ["bin", "etc", "proc", "dev"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("bin/busybox"), vec![b'x'; 100_000]).unwrap();
    fs::set_permissions(folder.join("bin/busybox"), fs::Permissions::from_mode(0o4755)).unwrap();
    let _ = std::os::unix::fs::symlink("/bin/busybox", folder.join("bin/sh"));
    let file = place.0.join("tarball");
    let tar = Command::new("tar").args(["-cz", "-f"]).arg(&file).arg("-C").arg(&folder).arg(".").status().unwrap();
    assert!(tar.success());
    let sum = Command::new("sha512sum").arg(&file).output().unwrap().stdout;
    (fs::read(&file).unwrap(), String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned())
}

/// A web server on loopback that gives every visitor the same answer; its address.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/alpine", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut visitor in listener.incoming().flatten() {
            // The request is short, so it comes in one piece.
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
    let place = Place::new();
    let (bytes, sum) = tarball(&place);
    let mirror = serve(reply("200 OK", bytes.len(), &bytes));
    let output = place.run(&["--source", "alpine", "--mirror", &mirror, "--sha512", &sum]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.rootfs().join("etc/mini-docker")).unwrap(), "Alpine 3.19.1\n");
    assert_eq!(fs::read_link(place.rootfs().join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
    place.assert_tidy();

    // Offline now: nobody listens on port 1.
    let again = ["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine", "--sha512", &sum, "--force"];
    let output = place.run(&again);
    assert!(output.status.success(), "{}", stderr(&output));

    // A cache that was damaged since then is not believed.
    let cached =
        walk(&place.0.join("cache")).into_iter().find(|path| path.extension().is_some_and(|it| it == "gz")).unwrap();
    fs::write(cached, "damaged").unwrap();
    assert!(!place.run(&again).status.success());
}

/// A download that fails says `reason` in one line, and leaves nothing.
#[track_caller]
fn assert_fails(mirror: &str, reason: &str) {
    let place = Place::new();
    // The sum of nothing in particular.
    let args = ["--source", "alpine", "--mirror", mirror, "--sha512", &"0".repeat(128)];
    let output = place.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(reason), "no {reason:?} in: {}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(!place.rootfs().exists());
    place.assert_tidy();
}

#[test]
fn a_download_that_fails_leaves_the_old_rootfs_alone() {
    let place = Place::new();
    fs::create_dir_all(place.rootfs().join("etc")).unwrap();
    fs::write(place.rootfs().join("etc/mini-docker"), "an old one\n").unwrap();
    let output = place.run(&["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.rootfs().join("etc/mini-docker")).unwrap(), "an old one\n");
    place.assert_tidy();
}

#[test]
fn a_download_with_another_sum_is_refused() {
    let (bytes, _) = tarball(&Place::new());
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
    let (bytes, _) = tarball(&Place::new());
    assert_fails(&serve(reply("200 OK", bytes.len(), &bytes[..bytes.len() / 2])), "curl: (18)");
}

#[test]
fn a_download_cut_anywhere_is_refused() {
    let (bytes, sum) = tarball(&Place::new());
    let last = bytes.len() - 1;
    let cuts = [0, 1, 2, 9, 10, 11, 63, 64, 65, 99, 100, last / 3, last / 2, last - 8, last - 1, last];
    for (cut, has_length) in cuts.iter().flat_map(|cut| [(*cut, true), (*cut, false)]) {
        // Without its length, curl(1) can't tell that something is missing; only the sum can.
        let answer = match has_length {
            true => reply("200 OK", bytes.len(), &bytes[..cut]),
            false => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &bytes[..cut]].concat(),
        };
        let place = Place::new();
        let output = place.run(&["--source", "alpine", "--mirror", &serve(answer), "--sha512", &sum]);
        let text = stderr(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{cut} {has_length}: {text}");
        assert!(!place.rootfs().exists(), "{cut} {has_length}: {text}");
        place.assert_tidy();
    }
}

#[test]
fn a_full_disk_below_the_cache_is_an_error_and_leaves_none() {
    let place = Place::new();
    let bytes = vec![b'x'; 300_000];
    let mirror = serve(reply("200 OK", bytes.len(), &bytes));
    let script = format!(
        "mkdir cache && mount -t tmpfs -o size=100k none cache && XDG_CACHE_HOME=$PWD/cache '{}' rootfs --source alpine \
         --mirror {mirror} --to rootfs; echo $?; find cache -name '*.part'",
        env!("CARGO_BIN_EXE_xtask")
    );
    let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("curl: (23)"), "{}", stderr(&output));
    assert!(!place.rootfs().exists());
}

/// The names and modes of all that a rootfs holds.
fn modes(rootfs: &Path) -> String {
    let find = Command::new("find").args([".", "-printf", "%m %p\\n"]).current_dir(rootfs).output().unwrap();
    let text = String::from_utf8(find.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn the_umask_does_not_show() {
    let place = Place::new();
    let tarball =
        crafted(&place, "mkdir -p etc/deep; echo x >etc/deep/file; chmod 754 etc/deep; chmod 640 etc/deep/file");
    for source in ["host", tarball.to_str().unwrap()] {
        let made = ["022", "077", "000"].map(|umask| {
            let script = format!("umask {umask} && exec \"$@\"");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_xtask"), "rootfs", "--force", "--source", source]);
            let output = shell.arg("--to").arg(place.rootfs()).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            modes(&place.rootfs())
        });
        assert_eq!(made[0], made[1], "{source}");
        assert_eq!(made[0], made[2], "{source}");
    }
}

#[test]
fn a_server_that_is_not_there_is_given_up_at_once() {
    assert_fails("http://127.0.0.1:1/alpine", "curl: (7)");
}

#[test]
fn a_server_that_says_nothing_is_given_up_after_some_seconds() {
    assert_fails(&server(|_| thread::sleep(Duration::from_secs(60))), "curl: (28)");
}

#[test]
fn without_alpine_there_is_a_fallback_and_one_line_says_why() {
    let place = Place::new();
    let output = place.run(&["--mirror", "http://127.0.0.1:1/alpine"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.starts_with("rootfs: no rootfs from Alpine 3.19.1: curl: (7)"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("rootfs: made "), "{text}");
    place.assert_tidy();
}

/// The top-level folders and their modes.
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
fn what_this_machine_makes_has_alpines_folders() {
    let place = Place::new();
    let output = place.run(&["--source", "host"]);
    assert!(output.status.success(), "{}", stderr(&output));
    // As in Alpine 3.19.4's minirootfs.
    let alpine = "bin 755,dev 755,etc 755,home 755,lib 755,media 755,mnt 755,opt 755,proc 555,root 700,run 755,sbin 755,\
                  srv 755,sys 555,tmp 1777,usr 755,var 755";
    assert_eq!(shape(&place.rootfs()).join(","), alpine);
    assert!(!place.rootfs().join("bin/bash").exists());
}

#[test]
fn a_tarball_or_a_folder_can_be_named() {
    let place = Place::new();
    tarball(&place);
    for name in ["tarball", "folder"] {
        let source = place.0.join(name);
        let output = place.run(&["--force", "--source", source.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr(&output));
        let busybox = place.rootfs().join("bin/busybox");
        assert_eq!(
            fs::metadata(&busybox).unwrap().permissions().mode() & 0o7777,
            0o755,
            "the set-user-ID bit stays outside"
        );
        assert_eq!(fs::read_link(place.rootfs().join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
        place.assert_tidy();
    }
}

#[test]
fn folders_that_can_not_be_written_to_can_be_replaced() {
    let place = Place::new();
    tarball(&place);
    let source = place.0.join("folder");
    fs::set_permissions(source.join("bin"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        let output = place.run(&["--force", "--source", source.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr(&output));
        place.assert_tidy();
    }
    for folder in [source.clone(), source.join("bin"), place.rootfs().join("bin")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn what_is_no_rootfs_is_refused() {
    let place = Place::new();
    for (source, reason) in [
        ("/no/such/file", "there is no such file or folder"),
        ("/etc/passwd", "tar: "),
        ("/proc/self/fdinfo", "it has no /bin/sh"),
        ("alpin", "sources: alpine, busybox, host"),
    ] {
        let output = place.run(&["--source", source]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        assert!(!place.rootfs().exists());
        place.assert_tidy();
    }
}

#[test]
fn a_rootfs_of_someone_elses_is_not_touched_without_force() {
    let place = Place::new();
    fs::create_dir(place.rootfs()).unwrap();
    fs::write(place.rootfs().join("mine"), "my work").unwrap();
    for args in [&["--source", "host"][..], &[]] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("not of our making: to replace it, say --force"), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(place.rootfs().join("mine")).unwrap(), "my work");
    }
    assert!(place.run(&["--source", "host", "--force"]).status.success());
    assert!(!place.rootfs().join("mine").exists());
    place.assert_tidy();
}

#[test]
fn killed_at_any_moment_it_leaves_a_whole_rootfs_or_none() {
    let place = Place::new();
    for milliseconds in [1, 5, 20, 50, 100, 150, 200, 300] {
        let mut xtask = place.xtask(&["--source", "host", "--force"]).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        xtask.kill().unwrap();
        xtask.wait().unwrap();
        if place.rootfs().exists() {
            assert!(place.rootfs().join("etc/mini-docker").is_file(), "{milliseconds} ms");
        }
    }
    let output = place.run(&["--source", "host", "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    place.assert_tidy();
}

#[test]
fn two_at_once_do_not_harm_each_other() {
    let place = Place::new();
    let start = |args: &[&str]| place.xtask(args).stderr(Stdio::piped()).spawn().unwrap();
    let (host, force) = (["--source", "host"], ["--source", "host", "--force"]);
    for together in [[start(&host), start(&host), start(&host)], [start(&force), start(&host), start(&force)]] {
        for xtask in together {
            let output = xtask.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
    }
    assert!(place.rootfs().join("bin/ls").is_file());
    place.assert_tidy();
}

#[test]
fn a_full_disk_is_an_error_and_leaves_none() {
    let place = Place::new();
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let script = format!(
        "mount -t tmpfs -o size=200k none . && cd \"$PWD\" && '{xtask}' rootfs --source host --to rootfs; echo $?; ls -A"
    );
    let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n.rootfs.lock\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
}

#[test]
fn a_rootfs_with_a_mount_in_it_is_not_removed() {
    let place = Place::new();
    assert!(place.run(&["--source", "host"]).status.success());
    let xtask = env!("CARGO_BIN_EXE_xtask");
    // A mount point elsewhere that is not UTF-8 must not hide the one that matters.
    let odd = "mkdir -p rootfs/$(printf 'us\\351b') && mount -t tmpfs none rootfs/us?b";
    let script =
        format!("{odd} && mount -t tmpfs none rootfs/mnt && '{xtask}' rootfs --source host --force --to rootfs");
    let output = Host::new().in_folder(&place.0).sh(&script).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`sudo umount "), "{}", stderr(&output));
    assert!(place.rootfs().join("bin/ls").is_file());
}

/// A tarball with `make` run in the folder that it is made of.
fn crafted(place: &Place, make: &str) -> PathBuf {
    let folder = place.0.join("folder");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("bin/sh"), "").unwrap();
    let script = format!("{make}; tar -czf ../tarball .");
    assert!(Command::new("sh").args(["-c", &script]).current_dir(&folder).status().unwrap().success());
    place.0.join("tarball")
}

#[test]
fn links_in_a_tarball_do_not_lead_out_of_it() {
    for make in [
        "mkdir etc; ln -s \"$(dirname \"$PWD\")/victim/file\" etc/mini-docker",
        "ln -s \"$(dirname \"$PWD\")/victim\" etc",
        "ln -s \"$(dirname \"$PWD\")/victim\" proc",
    ] {
        let place = Place::new();
        let victim = place.0.join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "precious").unwrap();
        let tarball = crafted(&place, make);
        let output = place.run(&["--source", tarball.to_str().unwrap()]);
        assert_eq!(walk(&victim), [victim.join("file")], "{make}: {}", stderr(&output));
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "precious", "{make}");
        // The first is a rootfs after all; the others have no folder where one must be.
        assert_eq!(output.status.success(), make.starts_with("mkdir"), "{make}: {}", stderr(&output));
    }
}

#[test]
fn only_the_top_dev_is_left_out() {
    let place = Place::new();
    let tarball = crafted(&place, "mkdir -p home/me/dev dev; echo mine >home/me/dev/file; touch dev/null");
    let output = place.run(&["--source", tarball.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.rootfs().join("home/me/dev/file")).unwrap(), "mine\n");
    assert!(!place.rootfs().join("dev/null").exists());
}

#[test]
fn a_colon_in_a_name_is_no_machine() {
    let place = Place::new();
    fs::rename(crafted(&place, ":"), place.0.join("a:b")).unwrap();
    let output = place.xtask(&["--source", "a:b"]).current_dir(&place.0).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_folder_does_not_become_its_own_rootfs() {
    let place = Place::new();
    let output = place.run(&["--source", place.0.to_str().unwrap()]);
    assert!(stderr(&output).contains("inside of its own source"), "{}", stderr(&output));
}

#[test]
fn an_old_rootfs_that_was_moved_away_comes_back() {
    let place = Place::new();
    // As a run leaves it that is killed between its two renames.
    let old = place.0.join(".rootfs.old");
    fs::create_dir_all(old.join("etc")).unwrap();
    fs::write(old.join("etc/mini-docker"), "an old one\n").unwrap();
    fs::create_dir(place.0.join(".rootfs.new.1")).unwrap();
    let output = place.run(&["--source", "alpine", "--mirror", "http://127.0.0.1:1/alpine"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(place.rootfs().join("etc/mini-docker")).unwrap(), "an old one\n");
    place.assert_tidy();
}
