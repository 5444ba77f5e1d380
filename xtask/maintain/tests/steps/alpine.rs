//! What the chapter on the rootfs shows of a real Alpine, any release of 3.19. `cargo xtask test` runs these tests if it has one,
//! and otherwise reports that they are missing. They use only options that BusyBox has, because the machine in the pages has no
//! other programs.

mod on_alpine {
    use testkit::host::Host;
    use testkit::transcript::transcript;

    #[test]
    #[ignore = "needs an Alpine rootfs"]
    fn a_rootfs_is_directories_links_and_files() {
        let lines = [
            // In whole MiB and by apparent size, which is the same on every file system and in each release of 3.19.
            "du -sbm rootfs",
            "stat -c '%A %n' rootfs/*",
            "find rootfs -type d | wc -l",
            "find rootfs -type l | wc -l",
            // Without the stamp, which xtask adds.
            "find rootfs -type f ! -path '*/etc/mini-docker' | wc -l",
        ];
        insta::assert_snapshot!("files", transcript(&Host::new(), &lines));
    }

    #[test]
    #[ignore = "needs an Alpine rootfs"]
    fn nearly_every_command_is_a_link_to_busybox() {
        let lines = [
            "stat -c '%A %N' rootfs/bin/sh rootfs/bin/ls rootfs/bin/ps",
            "du -bm rootfs/bin/busybox",
            "ls -lR rootfs | grep -c '/bin/busybox$'",
            "ls rootfs/bin | grep -c .",
            "grep ^NAME= rootfs/etc/os-release",
        ];
        insta::assert_snapshot!("busybox", transcript(&Host::new(), &lines));
    }
}
