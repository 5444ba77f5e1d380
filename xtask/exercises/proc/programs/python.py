#!/usr/bin/env python3
# WANT: passes: calls the C library from Python, whose os module has no mount.
# ALSO: status reap die
# NEEDS: python3
import ctypes
import os
import signal
import sys
import warnings  # noqa: F401  os.execvpe imports it, and after chroot it can't be found.

NEWNS, NEWUTS, NEWPID = 0x00020000, 0x04000000, 0x20000000
RDONLY, NOSUID, NODEV, NOEXEC, REC, PRIVATE = 1, 2, 4, 8, 0x4000, 1 << 18
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        errno = ctypes.get_errno()
        sys.exit(f"{name}: {os.strerror(errno)}")


def shell_status(status):
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def child(words):
    """Process 1: enters the rootfs, starts the command, and reaps until it ends."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    call("sethostname", b"mini-docker", len(b"mini-docker"))
    call("mount", None, b"/", None, REC | PRIVATE, None)
    os.chroot("rootfs")
    os.chdir("/")
    call("mount", b"proc", b"/proc", b"proc", RDONLY | NOSUID | NODEV | NOEXEC, None)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    command = os.fork()
    if command == 0:
        # Python ignores these, and what is ignored stays ignored.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        try:
            os.execvpe(words[0], words, {"PATH": path})
        except OSError as error:
            print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    while True:
        pid, status = os.wait()
        if pid == command:
            return shell_status(status)


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        print(f"usage: {sys.argv[0]} run COMMAND [ARG...]", file=sys.stderr)
        return 2
    call("unshare", NEWUTS | NEWPID | NEWNS)
    pid = os.fork()
    if pid == 0:
        os._exit(child(sys.argv[2:]))
    return shell_status(os.waitpid(pid, 0)[1])


sys.exit(main())
