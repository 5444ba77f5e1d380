#!/usr/bin/env python3
# WANT: exe-is-the-interpreter: executes /proc/self/exe again, which is Python and not this script.
# NEEDS: python3
import ctypes
import os
import sys

NEWNS, NEWUTS, NEWPID = 0x00020000, 0x04000000, 0x20000000
if sys.argv[1] == "child":
    os.execvp(sys.argv[2], sys.argv[2:])
ctypes.CDLL(None).unshare(NEWUTS | NEWPID | NEWNS)
if os.fork() == 0:
    os.execv("/proc/self/exe", ["python3", "child", *sys.argv[2:]])
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
