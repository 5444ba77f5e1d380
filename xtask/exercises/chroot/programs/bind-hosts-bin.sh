#!/bin/sh
# WANT: wrong-command | host-tree-inside: binds the host's programs and libraries over those of the rootfs, and runs them.
shift
exec unshare --uts --pid --mount --fork --kill-child sh -c '
    hostname mini-docker && mkdir -p rootfs/lib64 &&
    for d in usr lib lib64 bin sbin; do mount --bind "/$d" "rootfs/$d" || exit 125; done &&
    exec chroot rootfs "$@"' sh "$@"
