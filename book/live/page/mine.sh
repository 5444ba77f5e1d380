#!/bin/sh
# A container: `sh mine.sh ps` runs ps in it. What does it see without the line that mounts /proc?
unshare -u -p -m -f sh -c '
    hostname mine
    mount -t proc proc rootfs/proc
    exec chroot rootfs "$@"
' sh "$@"
