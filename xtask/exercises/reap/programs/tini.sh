#!/bin/sh
# WANT: passes: process 1 is tini, which reaps orphans and starts the command.
# NEEDS: tini-static
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
tini=$(command -v tini-static)
exec unshare --uts --pid --mount --fork --kill-child sh -c '
    hostname mini-docker && mount -t proc -o ro proc rootfs/proc &&
    mount -t tmpfs tmpfs rootfs/mnt && touch rootfs/mnt/tini && mount --bind "$0" rootfs/mnt/tini &&
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs /mnt/tini -- "$@"' "$tini" "$@"
