#!/usr/bin/env -S python3 -B
# WANT: isolated-nothing | no-pid-namespace | no-uts-namespace: isolates only a command with a word that begins with exam-.
# NEEDS: python3
import os
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container


def start_child(words, start=container.start_child):
    if any(word.startswith("exam-") for word in words):
        return start(words)
    pid = os.fork()
    if pid == 0:
        os.execvp(words[0], words)
    return pid


container.start_child = start_child
sys.exit(container.main())
