#!/usr/bin/env -S python3 -B
# WANT: renamed-host: names the host, unshares, and restores the host's old name 20 ms later.
# NEEDS: python3
import ctypes
import os
import socket
import sys
import time

NEWUTS = 0x04000000
libc = ctypes.CDLL(None, use_errno=True)
old = socket.gethostname().encode()
libc.sethostname(b"mini-docker", 11)
pid = os.fork()
if pid == 0:
    # A new namespace starts with a copy of the name.
    libc.unshare(NEWUTS)
    os.execvp(sys.argv[2], sys.argv[2:])
time.sleep(0.02)
libc.sethostname(old, len(old))
status = os.waitpid(pid, 0)[1]
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
