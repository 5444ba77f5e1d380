#!/bin/sh
# WANT: passes: uses unshare(1), which makes `/` private itself, and chroot(1), which changes to the new `/`.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec unshare --uts --pid --mount --fork --kill-child sh -c '
    hostname mini-docker &&
    mount -t proc -o ro,nosuid,nodev,noexec proc rootfs/proc &&
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"' sh "$@"
