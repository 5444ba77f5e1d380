#!/bin/sh
# WANT: mounts-shared: calls unshare(1) with `--propagation unchanged`, and makes nothing private afterwards.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec unshare --uts --pid --mount --propagation unchanged --fork --kill-child sh -c '
    hostname mini-docker && exec chroot rootfs "$@"' sh "$@"
