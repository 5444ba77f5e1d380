//! Wherever cargo puts its results, `run` starts the program that cargo has just built.

mod slow {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use lab::{cargo, workspace};

    use crate::XTASK;

    /// Runs step 2 as `cargo xtask run` does, with a command that waits, and returns the program that was started.
    fn started(configure: impl FnOnce(&mut Command)) -> PathBuf {
        let mut command = Command::new(XTASK);
        command.args(["run", "--privilege", "user", "step02", "cat"]).current_dir(workspace::root());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).env_remove("CARGO_TARGET_DIR");
        configure(&mut command);
        let mut child = command.spawn().unwrap();
        let exe = format!("/proc/{}/exe", child.id());
        let start = Instant::now();
        let found = loop {
            let program = fs::read_link(&exe).unwrap_or_default();
            if program.ends_with("step02-pid") || child.try_wait().unwrap().is_some() {
                break program;
            }
            assert!(start.elapsed() < Duration::from_secs(300), "it builds for too long");
            thread::sleep(Duration::from_millis(10));
        };
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        found
    }

    /// A directory for the tests' target directories. It is removed when the test ends.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = cargo::target_directory().unwrap().join("test-target-directories").join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Fills a target directory from another one, so that cargo doesn't compile the libraries again.
    fn copy(from: &Path, to: &Path) {
        let copied = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    }

    #[test]
    #[ignore = "slow: compiles nix three times"]
    fn the_program_is_the_one_that_cargo_built() {
        let directory = Directory::new("variants");
        let top = &directory.0;
        let first = top.join("existed before");
        // A directory that exists, without cargo's mark, and with a blank in its name.
        fs::create_dir(&first).unwrap();
        assert_eq!(started(|it| _ = it.env("CARGO_TARGET_DIR", &first)), first.join("debug/step02-pid"));

        // Relative to the directory that cargo is started in.
        copy(&first, &top.join("relative"));
        let program = started(|it| _ = it.env("CARGO_TARGET_DIR", "relative").current_dir(top));
        assert_eq!(program, top.join("relative/debug/step02-pid"));

        let configure = |text: &str| {
            fs::create_dir_all(top.join(".cargo")).unwrap();
            fs::write(top.join(".cargo/config.toml"), text).unwrap();
        };
        configure("[build]\ntarget-dir = \"configured\"\n");
        copy(&first, &top.join("configured"));
        assert_eq!(started(|it| _ = it.current_dir(top)), top.join("configured/debug/step02-pid"));

        configure("[build]\ntarget-dir = \"finished\"\nbuild-dir = \"intermediate\"\n");
        assert_eq!(started(|it| _ = it.current_dir(top)), top.join("finished/debug/step02-pid"));
        assert!(top.join("intermediate").is_dir());

        fs::remove_dir_all(top.join(".cargo")).unwrap();
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let program = started(|it| _ = it.env("CARGO_TARGET_DIR", &first).env("CARGO_BUILD_TARGET", &target));
        assert_eq!(program, first.join(target).join("debug/step02-pid"));
    }
}
