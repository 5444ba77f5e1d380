//! The archive works for a person without Rust: unpacked elsewhere, read-only, without cargo, and as another user if possible.
#![cfg(target_os = "linux")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use nix::unistd::geteuid;

/// A directory that everyone can enter. It is removed when the test ends.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(&self.0).status();
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

mod slow {
    use super::*;

    #[test]
    #[ignore = "slow: builds everything again, with optimizations"]
    fn an_archive_works_read_only_for_another_user_and_without_cargo() {
        let place = Place(env::temp_dir().join(format!("mini-docker-archive-{}", std::process::id())));
        let (home, top) = (place.0.join("home"), place.0.join("mini-docker"));
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).unwrap();
        let dist = Command::new(env!("CARGO_BIN_EXE_maintain"))
            .args(["dist", "--without-book", "--source", "busybox", "--to"])
            .arg(&place.0)
            .output();
        let dist = dist.unwrap();
        assert!(dist.status.success(), "{}", String::from_utf8_lossy(&dist.stderr));
        let archive = place.0.join(format!("mini-docker-{}.tar.gz", env::consts::ARCH));
        assert!(archive.metadata().unwrap().size() < 15 << 20, "it is larger than 15 MiB");
        succeed(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&place.0));
        succeed(Command::new("chmod").args(["-R", "a-w"]).arg(&top));
        // The builder's paths would be wrong on any other machine.
        let builder = lab::workspace::root().to_str().unwrap();
        for program in fs::read_dir(top.join("bin")).unwrap() {
            let bytes = fs::read(program.unwrap().path()).unwrap();
            assert!(!bytes.windows(builder.len()).any(|it| it == builder.as_bytes()), "a program has {builder} in it");
        }

        let as_someone = |line: &str| {
            let mut command = Command::new(if geteuid().is_root() { "setpriv" } else { "env" });
            if geteuid().is_root() {
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            }
            command
                .args(line.split(' '))
                .current_dir(&home)
                .env_clear()
                .env("HOME", &home)
                .env("TMPDIR", &home)
                .env("PATH", "/usr/bin:/bin");
            command
        };
        if geteuid().is_root() {
            nix::unistd::chown(&home, Some(65534.into()), Some(65534.into())).unwrap();
        }
        let tool = top.join("mini-docker").display().to_string();
        let workshop = home.join("mini-docker-workshop");
        let shell = format!("{tool} workshop start --lang shell");
        assert!(succeed(&mut as_someone(&shell)).contains(&format!("{tool} check")));
        let report = succeed(&mut as_someone(&format!("{tool} check")));
        assert!(report.contains("All checks passed") && report.contains("mini-docker-workshop/mine.sh"), "{report}");
        assert!(succeed(&mut as_someone(&format!("{tool} status"))).contains("1 of 5 passed"));
        assert_eq!(succeed(&mut as_someone(&format!("{tool} run step04 -- hostname"))), "mini-docker\n");
        assert_eq!(succeed(&mut as_someone(&format!("{tool} host -- hostname"))), "host\n");
        let table = succeed(&mut as_someone(&format!("{tool} compare")));
        assert!(table.contains("own PID") && !table.contains("downloading"), "{table}");
        // For root it belongs to another user, who shares it on purpose.
        let doctor = succeed(&mut as_someone(&format!("{tool} doctor")));
        assert!(!doctor.contains("root's files"), "{doctor}");
        let graded = succeed(&mut as_someone(&format!("{tool} grade --exercise run {}", workshop.display())));
        assert!(graded.contains("mine.sh  1 of 1"), "{graded}");
        let mut left = fs::read_dir(&home).unwrap().map(|it| it.unwrap().file_name());
        assert!(!left.any(|it| it.to_string_lossy().contains("grade")), "grade leaves files behind");
        let output = as_someone(&format!("{tool} run mine -- ls")).output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && why.contains("can't build a program in Rust"), "{why}");
        let is_there = |path: &str| Path::new(&home).join(path).exists();
        assert!(is_there("mini-docker-workshop/progress.txt") && is_there(".cache/mini-docker"));
    }
}
