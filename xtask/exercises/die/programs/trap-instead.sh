#!/bin/bash
# WANT: orphans-left: kills the container in a trap, which SIGKILL doesn't run.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
unshare --uts --pid --mount --fork sh -c '
    hostname mini-docker && mount -t proc -o ro proc rootfs/proc &&
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"' sh "$@" <&0 &
unshare=$!
trap 'pkill -KILL -P $unshare; exit 143' TERM HUP
wait $unshare
