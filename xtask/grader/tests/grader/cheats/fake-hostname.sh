#!/bin/sh
# The rootfs has a hostname(1) that says mini-docker; no UTS namespace is made.
shift
exec unshare --pid --mount --fork --kill-child chroot rootfs "$@"
