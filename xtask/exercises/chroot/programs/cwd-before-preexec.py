#!/usr/bin/env -S python3 -B
# WANT: preexec-failed: lets subprocess change to `/` before its preexec_fn calls chroot(2).
# NEEDS: python3
import os
import subprocess
import sys

sys.exit(subprocess.run(sys.argv[2:], preexec_fn=lambda: os.chroot("rootfs"), cwd="/").returncode)
