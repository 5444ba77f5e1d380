#!/usr/bin/env -S python3 -B
# WANT: bad-address: passes mount(2) the flags where it takes the address of the file system's name.
# NEEDS: python3
import sys
import container


def mount_proc():
    flags = container.RDONLY | container.NOSUID | container.NODEV | container.NOEXEC
    container.call("mount", b"proc", b"/proc", flags, b"proc", None)


container.mount_proc = mount_proc
sys.exit(container.main())
