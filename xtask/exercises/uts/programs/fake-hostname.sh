#!/bin/sh
# WANT: no-uts-namespace: creates no UTS namespace, but puts a hostname(1) on the PATH that prints mini-docker.
shift
exec unshare --pid --mount --fork --kill-child sh -c '
    mount -t tmpfs tmpfs rootfs/mnt && printf "#!/bin/sh\necho mini-docker\n" >rootfs/mnt/hostname &&
    chmod +x rootfs/mnt/hostname && PATH=/mnt:$PATH exec chroot rootfs "$@"' sh "$@"
