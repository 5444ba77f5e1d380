#!/usr/bin/env python3
# A program that runs a command, and isolates nothing. From here on it is yours.
import subprocess
import sys


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: mine.py run COMMAND [ARG...]")
    try:
        status = subprocess.run(sys.argv[2:]).returncode
    except OSError as error:
        # Name each call in its error, as here: what the kernel says is mostly "No such file or directory".
        sys.exit(f"execve: {error}")
    return status


if __name__ == "__main__":
    sys.exit(main())
