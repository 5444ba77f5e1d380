#!/usr/bin/env -S python3 -B
# WANT: volume-writable: makes HOST read-only in the container's mount namespace, instead of the mount in the rootfs.
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container

volume = None
KEPT = 2 | 4 | 8 | 1024 | 2048


def flags(words):
    global volume
    if words[0] == "-v":
        volume, words = words[1].split(":"), words[2:]
    return words


def prepare_rootfs():
    if not volume:
        return
    host, inside, *option = volume
    bind = container.BIND | container.REC
    container.mount(host, "rootfs" + inside, None, bind)
    if option == ["ro"]:
        kept = os.statvfs(host).f_flag & KEPT
        container.mount(host, host, None, bind)
        container.mount(None, host, None, container.REMOUNT | container.BIND | container.RDONLY | kept)


container.flags, container.prepare_rootfs = flags, prepare_rootfs
sys.exit(container.main())
