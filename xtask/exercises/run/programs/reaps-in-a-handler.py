#!/usr/bin/env -S python3 -B
# WANT: status-lost: a handler of SIGCHLD collects the command before subprocess does, which then reports 0.
# NEEDS: python3
import os
import signal
import subprocess
import sys

signal.signal(signal.SIGCHLD, lambda *_: os.waitpid(-1, os.WNOHANG))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
