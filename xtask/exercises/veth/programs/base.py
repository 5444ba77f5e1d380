#!/usr/bin/env -S python3 -B
# WANT: passes: creates the network namespace in `run`, and the veth pair from outside, with ip(8).
# NEEDS: python3 ip
import os
import subprocess
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container

link = f"veth{os.getpid()}"
address = "10.0.0.2/24"


def ip(words):
    subprocess.run(["ip", *words.split()], check=True)


def prepare():
    old = os.open("/proc/self/ns/net", os.O_RDONLY)
    container.call("unshare", container.NEWNET)
    new = os.open("/proc/self/ns/net", os.O_RDONLY)
    container.call("setns", old, container.NEWNET)
    ip(f"link add {link} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{new}")
    ip(f"address add 10.0.0.1/24 dev {link}")
    ip(f"link set {link} up")
    container.call("setns", new, container.NEWNET)
    ip(f"address add {address} dev eth0")
    ip("link set eth0 up")
    ip("link set lo up")
    os.close(old)
    os.close(new)


container.prepare = prepare
if __name__ == "__main__":
    sys.exit(container.main())
