#!/usr/bin/env -S python3 -B
# WANT: language-error: uses a module that it doesn't import.
# NEEDS: python3
import sys

sys.exit(subprocess.run(sys.argv[2:]).returncode)
