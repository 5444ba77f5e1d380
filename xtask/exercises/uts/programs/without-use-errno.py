#!/usr/bin/env -S python3 -B
# WANT: errno-lost: calls unshare(2) with a flag that it refuses, and loads the C library without use_errno.
# NEEDS: python3
import ctypes
import os
import sys

# A zero is missing.
NEWUTS = 0x0400000
libc = ctypes.CDLL(None)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), name)


call("unshare", NEWUTS)
call("sethostname", b"mini-docker", len(b"mini-docker"))
os.execvp(sys.argv[2], sys.argv[2:])
