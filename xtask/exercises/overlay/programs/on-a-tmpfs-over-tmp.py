#!/usr/bin/env -S python3 -B
# WANT: passes: mounts the overlay on a tmpfs over /tmp, instead of on ./rootfs.
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container


def prepare_rootfs():
    rootfs = os.path.abspath("rootfs")
    container.mount("tmpfs", "/tmp", "tmpfs", container.NOSUID | container.NODEV)
    for name in ("upper", "work", "merged"):
        os.mkdir("/tmp/" + name)
    layers = f"lowerdir={rootfs},upperdir=/tmp/upper,workdir=/tmp/work,userxattr"
    container.mount("overlay", "/tmp/merged", "overlay", 0, layers)


def enter_rootfs():
    os.chroot("/tmp/merged")
    os.chdir("/")


container.prepare_rootfs, container.enter_rootfs = prepare_rootfs, enter_rootfs
sys.exit(container.main())
