#!/bin/sh
# WANT: passes: uses bubblewrap, which has its own process 1 and leaves the old root by pivot_root(2).
# ALSO: reap die pivot
# NEEDS: bwrap
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec bwrap --unshare-uts --hostname mini-docker --unshare-pid --die-with-parent \
    --bind rootfs / --proc /proc --remount-ro /proc --chdir / \
    --clearenv --setenv PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@"
