#!/usr/bin/env -S python3 -B
# WANT: bytes-not-str: passes a str to sethostname(2), which ctypes makes wide characters of.
# NEEDS: python3
import ctypes
import os
import sys

NEWUTS = 0x04000000
libc = ctypes.CDLL(None, use_errno=True)
libc.unshare(NEWUTS)
libc.sethostname("mini-docker", len("mini-docker"))
os.execvp(sys.argv[2], sys.argv[2:])
