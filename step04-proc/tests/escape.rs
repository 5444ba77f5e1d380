//! What a chroot with a /proc of its own does not stop either.
#![cfg(target_os = "linux")]

use xtask::escape;
use xtask::transcript::transcript;

#[test]
fn a_root_climbs_out_to_the_hosts_files_and_proc() {
    let attack = [
        // Each with its control before it. The namespaces stay what they are: only the chroot is left.
        "step04-proc run ls /mnt",
        "step04-proc run /tmp/escape ls /mnt",
        "step04-proc run cat /proc/1/comm",
        "step04-proc run /tmp/escape cat /proc/1/comm",
        "step04-proc run /tmp/escape hostname",
    ];
    insta::assert_snapshot!("proc", transcript(&escape::host(), &[&escape::SET_UP[..], &attack].concat()));
}
