//! What a chroot does not stop.
#![cfg(target_os = "linux")]

use testkit::escape;
use testkit::transcript::transcript;

#[test]
fn root_climbs_out_of_the_chroot() {
    let attack = [
        // The control: without the attack, the container has a /mnt of its own.
        "step03-chroot run ls /mnt",
        "step03-chroot run /tmp/escape ls /mnt",
        "step03-chroot run /tmp/escape cat /mnt/secret",
    ];
    insta::assert_snapshot!("chroot", transcript(&escape::host(), &[&escape::SET_UP[..], &attack].concat()));
}

#[test]
fn pivot_root_leaves_nothing_to_climb_to() {
    // pivot_root(2) needs a mount point that is not shared, and umount(8) reads /proc.
    let prepare = "mount --rbind rootfs rootfs && mount --rbind /proc rootfs/proc && cd rootfs";
    // The directory `hole` proves that the attack got that far.
    let attack = "attack='cd /; /tmp/escape ls /mnt; ls /tmp; rmdir /tmp/hole'; export attack";
    let lines = [
        r#"mkdir tmp/old && pivot_root . tmp/old && umount -l /tmp/old && rmdir /tmp/old && eval "$attack""#,
        // The control: the same with chroot.
        r#"chroot . sh -c "$attack""#,
    ];
    let lines = lines.map(|line| format!("unshare --mount --propagation private sh -c '{prepare} && {line}'"));
    let script = format!("{} && {attack} || exit\n{}", escape::SET_UP.join(" && "), lines.join("; echo $?\n"));
    let output = escape::host().sh(&script).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&text), "escape\nhole\n0\nsecret\nescape\nhole\n");
    assert!(output.status.success());
}

mod as_root {
    use super::*;

    #[test]
    #[ignore = "needs root, because only root can become another user"]
    fn an_ordinary_user_does_not_get_out() {
        let attack_as = |user: &str| {
            let set_up = escape::SET_UP.join(" && ");
            let script = format!("{set_up} && chroot --userspec={user} rootfs /tmp/escape ls /mnt");
            let output = escape::host().as_root().sh(&script).output().unwrap();
            (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (shown, why) = attack_as("65534:65534");
        assert!(shown.is_empty() && why.contains("Operation not permitted"), "{why}");
        // The control.
        assert_eq!(attack_as("0:0"), (b"secret\n".to_vec(), String::new()));
    }
}
