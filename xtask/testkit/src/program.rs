//! Programs that a test writes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable file, by another process. The kernel doesn't execute a file that is open for writing (ETXTBSY, execve(2)),
/// and if this process had it open, a process that another thread starts meanwhile would have it open too, until its own execve.
///
/// # Panics
/// If the file can't be written.
pub fn write_program(path: &Path, contents: &[u8]) {
    let mut install = Command::new("install");
    let mut install = install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    install.stdin.take().unwrap().write_all(contents).unwrap();
    assert!(install.wait().unwrap().success(), "install {path:?}");
}

#[cfg(test)]
mod slow {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::{env, fs, process, thread};

    use super::*;

    #[test]
    #[ignore = "slow: starts hundreds of processes"]
    fn a_program_can_be_executed_while_other_threads_start_processes() {
        let path = env::temp_dir().join(format!("mini-docker-program-{}", process::id()));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        assert!(Command::new("true").status().unwrap().success());
                    }
                });
            }
            let busy = (0..100).filter(|_| {
                write_program(&path, b"#!/bin/sh\n");
                Command::new(&path).status().is_err()
            });
            let busy = busy.count();
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(busy, 0);
        });
        fs::remove_file(path).unwrap();
    }
}
