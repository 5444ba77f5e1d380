#!/usr/bin/env -S python3 -B
# WANT: never-ran: takes 63 bytes, those of a label in DNS, for the most that a hostname has.
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container

name = b"mini-docker"


def flags(words):
    global name
    if words[0] == "--hostname":
        name, words = os.fsencode(words[1]), words[2:]
    if len(name) > 63:
        sys.exit(125)
    return words


container.flags = flags
container.prepare_rootfs = lambda: container.call("sethostname", name, len(name))
sys.exit(container.main())
