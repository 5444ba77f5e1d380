#!/usr/bin/env -S python3 -B
# WANT: passes: enters a new cgroup for `--pids`, and removes it, on cgroup v1 and v2.
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container

limit = None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def own_cgroup():
    """Returns the directory of the cgroup that limits processes, and whether it is of version 2."""
    for line in open("/proc/self/cgroup"):
        number, controllers, path = line.rstrip("\n").split(":", 2)
        if "pids" in controllers.split(","):
            return ("/sys/fs/cgroup/pids" + path).rstrip("/"), False
        if number == "0":
            unified = ("/sys/fs/cgroup" + path).rstrip("/")
    return unified, True


def flags(words):
    global limit
    if words[0] == "--pids":
        limit, words = words[1], words[2:]
    return words


def enter_cgroup():
    global leave
    old, _ = own_cgroup()
    new = f"{old}/mini-{os.getpid()}"
    os.mkdir(new)
    write(new + "/cgroup.procs", "0")
    enabled = not os.path.exists(new + "/pids.max")
    if enabled:
        write(old + "/cgroup.subtree_control", "+pids")
    write(new + "/pids.max", limit)

    def leave():
        if enabled:
            write(old + "/cgroup.subtree_control", "-pids")
        write(old + "/cgroup.procs", "0")
        os.rmdir(new)


def prepare():
    if limit:
        enter_cgroup()


def clean_up(status):
    if limit:
        leave()


container.flags, container.prepare, container.clean_up = flags, prepare, clean_up
if __name__ == "__main__":
    sys.exit(container.main())
