#!/usr/bin/env -S python3 -B
# WANT: term-ignored | signals-blocked: blocks SIGTERM, SIGINT and SIGHUP in `run`, and the command inherits the mask.
# NEEDS: python3
import signal
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container


def prepare():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


container.prepare = prepare
sys.exit(container.main())
