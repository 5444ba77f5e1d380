#!/bin/sh
# WANT: rootfs-read-only: binds the rootfs's own /etc read-only over the overlay, so `rm /etc/motd` fails.
shift
exec unshare --uts --pid --mount --fork --kill-child sh -c '
    hostname mini-docker && mount -t tmpfs tmpfs rootfs/mnt && mkdir rootfs/mnt/upper rootfs/mnt/work &&
    mount -t overlay overlay -o lowerdir=rootfs,upperdir=rootfs/mnt/upper,workdir=rootfs/mnt/work rootfs &&
    mount --bind rootfs/etc rootfs/etc && mount -o remount,bind,ro rootfs/etc &&
    mount -t proc -o ro proc rootfs/proc &&
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"' sh "$@"
