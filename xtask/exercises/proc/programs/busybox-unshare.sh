#!/bin/sh
# WANT: passes: uses BusyBox's unshare, mount, hostname and chroot.
# NEEDS: busybox
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec busybox unshare -u -p -m -f busybox sh -c '
    busybox mount --make-rprivate / && busybox hostname mini-docker && busybox mount -t proc -o ro proc rootfs/proc &&
    exec busybox env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/sbin/chroot rootfs "$@"' sh "$@"
