#!/usr/bin/env -S python3 -B
# WANT: late | proc-writable: process 1 makes /proc read-only a tenth of a second after it has started the command.
# NEEDS: python3
import sys
import time
import container

KEPT = container.NOSUID | container.NODEV | container.NOEXEC


def mount_proc():
    container.mount("proc", "/proc", "proc", KEPT)


def reap(command, reap=container.reap):
    time.sleep(0.1)
    container.mount(None, "/proc", None, container.REMOUNT | container.BIND | container.RDONLY | KEPT)
    return reap(command)


container.mount_proc, container.reap = mount_proc, reap
sys.exit(container.main())
