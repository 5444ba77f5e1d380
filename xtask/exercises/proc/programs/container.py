#!/usr/bin/env -S python3 -B
# WANT: passes: calls the C library from Python, whose os module has no mount.
# ALSO: status reap die
# NEEDS: python3
import ctypes
import os
import signal
import sys
import warnings  # noqa: F401  os.execvpe imports it, and after chroot it can't be found.

NEWNS, NEWUTS, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 0x20, 0x1000, 0x4000, 1 << 18
PR_SET_PDEATHSIG = 1
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        errno = ctypes.get_errno()
        print(f"{name}: {os.strerror(errno)}", file=sys.stderr, flush=True)
        os._exit(125)


def mount(source, target, kind, flags, data=None):
    words = [word and os.fsencode(word) for word in (source, target, kind, data)]
    call("mount", *words[:3], flags, words[3])


def shell_status(status):
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


# The parts of a container. Other programs import this file, and replace some of them.


def flags(words):
    """Returns the words that follow the flags."""
    return words


def prepare():
    """Runs in `run`, before unshare(2)."""


def start_child(words):
    call("unshare", NEWUTS | NEWPID | NEWNS)
    pid = os.fork()
    if pid == 0:
        os._exit(child(words))
    return pid


def clean_up(status):
    """Runs in `run`, at the end."""


def child(words):
    """Process 1: enters the rootfs, starts the command, and reaps until it ends."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    call("sethostname", b"mini-docker", len(b"mini-docker"))
    mount(None, "/", None, REC | PRIVATE)
    prepare_rootfs()
    enter_rootfs()
    mount_proc()
    return reap(start_command(words))


def prepare_rootfs():
    """Runs in process 1, before chroot(2)."""


def enter_rootfs():
    os.chroot("rootfs")
    os.chdir("/")


def mount_proc():
    mount("proc", "/proc", "proc", RDONLY | NOSUID | NODEV | NOEXEC)


def start_command(words):
    command = os.fork()
    if command == 0:
        # Python ignores these, and what is ignored stays ignored.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        try:
            execute(words)
        except OSError as error:
            print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    return command


def execute(words):
    os.execvpe(words[0], words, {"PATH": PATH})


def reap(command):
    while True:
        pid, status = os.wait()
        if pid == command:
            return shell_status(status)


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        print(f"usage: {sys.argv[0]} run COMMAND [ARG...]", file=sys.stderr)
        return 2
    words = flags(sys.argv[2:])
    prepare()
    status = shell_status(os.waitpid(start_child(words), 0)[1])
    clean_up(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
