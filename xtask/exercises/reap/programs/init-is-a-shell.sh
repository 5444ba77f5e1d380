#!/bin/sh
# WANT: passes: process 1 is the rootfs's own sh, and the mounts are slaves of the host's.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec unshare --uts --pid --mount --propagation slave --fork --kill-child sh -c '
    hostname mini-docker && mount -t proc -o ro proc rootfs/proc &&
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs sh -c "
        (exec \"\$@\")
        exit \$?" sh "$@"' sh "$@"
