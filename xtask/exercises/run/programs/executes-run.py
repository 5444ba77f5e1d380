#!/usr/bin/env -S python3 -B
# WANT: executed-run: takes its own first argument for the command.
# NEEDS: python3
import subprocess
import sys

sys.exit(subprocess.run(sys.argv[1:]).returncode)
