#!/usr/bin/env python3
# Exercise 1, solved in Python: a hostname of its own.
import ctypes
import os
import signal
import socket
import sys

CLONE_NEWUTS = 0x04000000
# Without use_errno, get_errno() returns 0, which means "Success".
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """Calls a function of the C library, which reports an error by returning -1."""
    if getattr(libc, name)(*args) == -1:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")


def run(words):
    call("unshare", CLONE_NEWUTS)  # from Python 3.12 on also os.unshare(os.CLONE_NEWUTS)
    socket.sethostname("mini-docker")
    execute(words)


def execute(words):
    """Becomes the command."""
    # Python ignores these two, and a signal that is ignored stays ignored in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        sys.exit(f"execve({words[0]!r}): {error.strerror}")


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: mine.py run COMMAND [ARG...]")
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
