#!/usr/bin/env -S python3 -B
# WANT: passes: takes three seconds before it does anything.
# NEEDS: python3
import time
import sys

sys.path.insert(0, sys.path[0] + "/../../proc/programs")
import container

container.prepare = lambda: time.sleep(3)
sys.exit(container.main())
