#!/usr/bin/env -S python3 -B
# WANT: late | proc-writable: remounts /proc read-only from outside after the start, so a quick command can write.
# NEEDS: python3
import os
import subprocess
import sys
import time

script = 'hostname mini-docker && mount -t proc proc rootfs/proc && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"'
unshare = ["unshare", "--uts", "--pid", "--mount", "--fork", "--kill-child"]
child = subprocess.Popen([*unshare, "sh", "-c", script, "sh", *sys.argv[2:]])
for _ in range(200):
    try:
        inside = open(f"/proc/{child.pid}/task/{child.pid}/children").read().split()
        if inside and "sh" in open(f"/proc/{inside[0]}/comm").read() and "rootfs" in os.readlink(f"/proc/{inside[0]}/root"):
            break
    except OSError:
        pass
    time.sleep(0.002)
if inside:
    remount = ["mount", "-o", "remount,ro,bind", os.getcwd() + "/rootfs/proc"]
    subprocess.run(["nsenter", "--target", inside[0], "--mount", *remount], stderr=subprocess.DEVNULL)
sys.exit(child.wait())
