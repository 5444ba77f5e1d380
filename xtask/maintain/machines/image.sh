#!/usr/bin/env bash
# Builds a virtual machine's disk from Debian's packages: image.sh SUITE DIRECTORY PACKAGES. DIRECTORY gets the disk, a kernel, an
# initrd, and a key to log in with. The mirror is mmdebstrap's default.
set -euo pipefail
suite=$1 out=$2 packages=$3

# udev's own script for the end of the initrd ends early if udevd doesn't answer, and then the machine has no /dev.
mkdir -p "$out/init-bottom"
cat >"$out/init-bottom/udev" <<'END'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
udevadm settle --timeout=60
udevadm control --exit
mount -n -o move /dev "$rootmnt/dev"
nuke /dev
ln -s "$rootmnt/dev" /dev
END
chmod +x "$out/init-bottom/udev"

# The initrd has only what finds the disk, and the packages no documentation.
mmdebstrap --quiet --variant=minbase --format=tar --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/initramfs-tools/scripts"' \
    --essential-hook='printf "MODULES=list\nCOMPRESS=lz4\n" >"$1/etc/initramfs-tools/conf.d/machine"' \
    --essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"' \
    --essential-hook="copy-in '$out/init-bottom' /etc/initramfs-tools/scripts" \
    "$suite" "$out/root.tar"

ssh-keygen -q -t ed25519 -N '' -C machines -f "$out/key"

# Files of several users are made by root, or in a user namespace with several users.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(unshare --map-auto --map-root-user --)
"${as_root[@]}" bash -euo pipefail -s "$out" <<'SCRIPT'
out=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
# The kernel fills /dev.
tar -xf "$out/root.tar" -C "$root" --exclude='./dev/*'
rm "$out/root.tar"

in_it() { chroot "$root" "$@"; }
in_it useradd --create-home --shell /bin/bash me
for home in root home/me; do
    install --directory --mode=700 "$root/$home/.ssh"
    cp "$out/key.pub" "$root/$home/.ssh/authorized_keys"
    touch "$root/$home/.hushlogin"
done
in_it chown -R me: /home/me
echo 'me ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/me"
rm -f "$root/etc/resolv.conf"
echo machine >"$root/etc/hostname"
printf '127.0.0.1 localhost machine\n' >"$root/etc/hosts"
echo '/dev/vda / ext4 rw 0 1' >"$root/etc/fstab"
units=$root/etc/systemd/system
cat >"$units/eth0.service" <<'END'
[Unit]
BindsTo=sys-subsystem-net-devices-eth0.device
After=sys-subsystem-net-devices-eth0.device
[Service]
Type=oneshot
ExecStart=ip address add 10.0.2.15/24 dev eth0
ExecStart=ip link set eth0 up
END
ln -s ../eth0.service "$units/multi-user.target.wants/"
# What takes long, and what would change the machine meanwhile.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-pstore.service getty@tty1.service systemd-timesyncd.service docker.service docker.socket containerd.service \
    podman.socket podman-auto-update.timer podman-restart.service; do
    ln -sf /dev/null "$units/$unit"
done
# The user's own systemd starts with the machine.
mkdir -p "$root/var/lib/systemd/linger"
touch "$root/var/lib/systemd/linger/me"
# Otherwise the first boot would set everything up again.
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
touch "$root/etc/.updated" "$root/var/.updated"

mv "$root"/boot/vmlinuz-* "$out/vmlinuz"
mv "$root"/boot/initrd.img-* "$out/initrd"
chmod 644 "$out/vmlinuz"
mkfs.ext4 -qq -F -E lazy_itable_init=1 -d "$root" "$out/root.ext4" 4G
SCRIPT
