#!/usr/bin/env -S python3 -B
# WANT: not-found-status: shutil.which doesn't find a file without the permission to be executed, so the status is 127.
# NEEDS: python3
import os
import shutil
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container


def execute(words):
    path = shutil.which(words[0], path=container.PATH)
    if path is None:
        raise FileNotFoundError(2, "not found")
    os.execve(path, words, {"PATH": container.PATH})


container.execute = execute
sys.exit(container.main())
