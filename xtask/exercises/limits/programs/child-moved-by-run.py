#!/usr/bin/env -S python3 -B
# WANT: passes: creates an empty cgroup, and moves process 1 there by its PID, which waits for that.
# NEEDS: python3
import os
import sys
import base

container = base.container
child = container.child


def prepare():
    global go, tell, new, leaf, enabled, old
    go, tell = os.pipe()
    if not base.limit:
        return
    old, is_unified = base.own_cgroup()
    leaf, enabled = None, False
    if is_unified:
        # A cgroup with a controller for its children may have no process, so `run` moves to a child of it as well.
        leaf = f"{old}/mini-run-{os.getpid()}"
        os.mkdir(leaf)
        base.write(leaf + "/cgroup.procs", "0")
        enabled = "pids" not in open(old + "/cgroup.subtree_control").read().split()
        if enabled:
            base.write(old + "/cgroup.subtree_control", "+pids")
    new = f"{old}/mini-{os.getpid()}"
    os.mkdir(new)
    base.write(new + "/pids.max", base.limit)


def start_child(words, start=container.start_child):
    pid = start(words)
    if base.limit:
        base.write(new + "/cgroup.procs", str(pid))
    os.write(tell, b"x")
    return pid


def waiting_child(words):
    os.read(go, 1)
    return child(words)


def clean_up(status):
    if not base.limit:
        return
    os.rmdir(new)
    if enabled:
        base.write(old + "/cgroup.subtree_control", "-pids")
    if leaf:
        base.write(old + "/cgroup.procs", "0")
        os.rmdir(leaf)


container.prepare, container.start_child, container.clean_up = prepare, start_child, clean_up
container.child = waiting_child
sys.exit(container.main())
