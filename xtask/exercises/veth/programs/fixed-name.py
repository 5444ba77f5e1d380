#!/usr/bin/env python3
# WANT: link-name-taken: gives the host end the same name in every run, so a second run at the same time fails.
# NEEDS: python3 ip
import ctypes, os, signal, subprocess, sys, warnings
NEWNS, NEWUTS, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x20000000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")

def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

def shell_status(status):
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

def child(words):
    call("prctl", 1, signal.SIGKILL)
    call("sethostname", b"mini-docker", 11)
    call("mount", None, b"/", None, 0x4000 | 1 << 18, None)
    os.chroot("rootfs")
    os.chdir("/")
    call("mount", b"proc", b"/proc", b"proc", 15, None)
    command = os.fork()
    if command == 0:
        try:
            os.execvpe(words[0], words, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        except OSError as error:
            print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    while True:
        pid, status = os.wait()
        if pid == command:
            return shell_status(status)

def network():
    old = os.open("/proc/self/ns/net", os.O_RDONLY)
    call("unshare", NEWNET)
    new = os.open("/proc/self/ns/net", os.O_RDONLY)
    call("setns", old, NEWNET)
    host = "veth0"
    ip(f"link add {host} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{new}")
    ip(f"address add 10.0.0.1/24 dev {host}")
    ip(f"link set {host} up")
    call("setns", new, NEWNET)
    ip("address add 10.0.0.2/24 dev eth0")
    ip("link set eth0 up")
    ip("link set lo up")
    os.close(old)
    os.close(new)

def main():
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        print(f"usage: {sys.argv[0]} run COMMAND [ARG...]", file=sys.stderr)
        return 2
    network()
    call("unshare", NEWUTS | NEWPID | NEWNS)
    pid = os.fork()
    if pid == 0:
        os._exit(child(sys.argv[2:]))
    return shell_status(os.waitpid(pid, 0)[1])

sys.exit(main())
