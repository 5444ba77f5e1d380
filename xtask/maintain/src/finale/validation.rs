//! The Open Container Initiative's own tests of runtimes, opencontainers/runtime-tools: those that a runtime like ours must pass.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::process::on_path;
use nix::unistd::geteuid;

use super::engines::Machine;
use super::succeeds;

/// The commit for which the lists below are right.
const COMMIT: &str = "260e151";

/// The tests that must pass. They pass under runc and crun as well, and fail under a runtime that can't start a container.
const TESTS: [&str; 15] = [
    "config_updates_without_affect",
    "create",
    "default",
    "hostname",
    "kill",
    "kill_no_effect",
    "linux_masked_paths",
    "linux_ns_path",
    "linux_readonly_paths",
    "linux_sysctl",
    "process",
    "process_oom_score_adj",
    "process_user",
    "root_readonly_true",
    "state",
];

/// The others, and why they are left out.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "they need hooks, which the runtime refuses",
        "hooks hooks_stdin poststart poststart_fail poststop poststop_fail prestart prestart_fail",
    ),
    (
        "they need devices, or user namespaces, in config.json, which the runtime refuses",
        "linux_devices linux_ns_nopath linux_uid_mappings",
    ),
    ("it has no mount namespace, which the runtime refuses", "linux_ns_itype"),
    ("it has options of file systems for bind mounts, which the runtime refuses", "mounts"),
    ("it needs rootfsPropagation, of which runc doesn't have all either", "linux_rootfs_propagation"),
    (
        "they test version 1 of cgroups",
        "delete_only_create_resources delete_resources linux_cgroups_blkio linux_cgroups_cpus linux_cgroups_devices \
         linux_cgroups_hugetlb linux_cgroups_memory linux_cgroups_network linux_cgroups_pids linux_cgroups_relative_blkio \
         linux_cgroups_relative_cpus linux_cgroups_relative_devices linux_cgroups_relative_hugetlb linux_cgroups_relative_memory \
         linux_cgroups_relative_network linux_cgroups_relative_pids",
    ),
    (
        "they pass although the runtime ignores what they are about",
        "linux_mount_label linux_process_apparmor_profile linux_seccomp",
    ),
    ("it passes under any runtime that fails", "linux_ns_path_type"),
    ("they need more capabilities, or higher limits, than every machine gives", "process_capabilities process_rlimits"),
    ("they fail under runc and crun as well", "delete misc_props process_capabilities_fail process_rlimits_fail start"),
    ("they fail on a busy machine, under runc as well", "killsig pidfile"),
];

/// Builds the tests in a checkout, runs each with our runtime and another, and returns the number and the failures.
pub fn check(machine: &Machine, checkout: &Path, runtime: &Path) -> Result<(usize, Vec<&'static str>)> {
    ensure!(geteuid().is_root(), "--runtime-tools needs root");
    ensure!(on_path("go").is_some(), "--runtime-tools needs Go: `sudo apt install golang`");
    let checkout = checkout.canonicalize().with_context(|| format!("realpath({checkout:?})"))?;
    let work = machine.directory.join("validation");
    fs::create_dir_all(&work).with_context(|| format!("mkdir({work:?})"))?;
    eprintln!("finale: building the tests of runtime-tools, which takes a minute");
    let mut build = Command::new("go");
    build.args(["build", "-mod=vendor", "-o"]).arg(&work).arg("./cmd/runtimetest");
    build.args(TESTS.iter().map(|name| format!("./validation/{name}")));
    // Its programs run in containers, which have no libraries.
    succeeds(build.current_dir(&checkout).env("CGO_ENABLED", "0").env("GOPROXY", "off"))?;
    // The tests look for it, and for runtimetest, in the current directory.
    let name = if cfg!(target_arch = "x86_64") { "rootfs-amd64.tar.gz" } else { "rootfs-arm64.tar.gz" };
    symlink(checkout.join(name), work.join(name)).with_context(|| format!("linking {name}"))?;

    println!("\nthe tests of runtime-tools in {}; the list is for commit {COMMIT}", checkout.display());
    let peers: Vec<_> = ["runc", "crun"].iter().filter_map(|name| Some((*name, on_path(name)?))).collect();
    let mut wrong = Vec::new();
    for name in TESTS {
        let is_right = passes(machine, name, runtime)?;
        if !is_right {
            wrong.push(name);
        }
        println!("{}{name}", if is_right { super::OK } else { super::FAIL });
        for (peer, path) in &peers {
            if !passes(machine, name, path)? {
                println!("       fails under {peer}");
            }
        }
    }
    for (reason, names) in LEFT_OUT {
        println!("  left out, because {reason}: {names}");
    }
    Ok((TESTS.len(), wrong))
}

/// Runs a test with a runtime.
fn passes(machine: &Machine, name: &str, runtime: &Path) -> Result<bool> {
    // In a PID namespace, so that none of its containers stays. runc and crun leave their cgroups, which a test names with a UUID.
    let script = format!(
        "cd validation && mkdir tmp && TMPDIR=$PWD/tmp unshare --pid --fork --kill-child --mount --mount-proc ./{name}; status=$?
        rm -rf tmp
        find /sys/fs/cgroup -depth -type d -name '????????-????-4???-????-????????????' -newer {name} -exec rmdir {{}} + 2>/dev/null
        exit $status"
    );
    let output = machine.shell(&script).env("RUNTIME", runtime).output().context("starting a test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && is_passed(&text))
}

/// True if a report has results, and none is bad. Its format is the Test Anything Protocol.
fn is_passed(text: &str) -> bool {
    let is_result = |line: &&str| line.starts_with("ok ") && !line.contains("# SKIP");
    text.lines().any(|line| is_result(&line)) && !text.lines().any(|line| line.starts_with("not ok "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_results_or_with_a_bad_one_is_no_success() {
        assert!(is_passed("TAP version 13\nok 1 - a\n  ---\nok 2 # SKIP b\n1..2\n"));
        for text in ["", "1..0\n", "ok 1 # SKIP a\n", "ok 1 - a\nnot ok 2 - b\n"] {
            assert!(!is_passed(text), "{text}");
        }
    }

    #[test]
    fn every_test_has_one_place() {
        let mut names: Vec<&str> = LEFT_OUT.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
        names.extend(TESTS);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 58);
    }
}
