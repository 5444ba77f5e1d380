#!/usr/bin/env -S python3 -B
# WANT: imports-after-chroot: imports a module only when it needs it, which is after chroot(2).
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container


def execute(words):
    import subprocess

    sys.exit(subprocess.run(words).returncode)


container.execute = execute
sys.exit(container.main())
