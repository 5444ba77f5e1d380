#!/bin/bash
# WANT: mounted-on-the-host | mounts-left: binds the volume on the host, before unshare(1), and unmounts it in a trap.
shift
if [ "$1" = -v ]; then
    IFS=: read -r host inside option <<<"$2"
    shift 2
    mount --rbind "$host" "rootfs$inside" && mount --make-rprivate "rootfs$inside" || exit 125
    trap 'umount --lazy "rootfs$inside"' EXIT
    [ "$option" != ro ] || mount -o remount,bind,ro "rootfs$inside" || exit 125
fi
"$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
