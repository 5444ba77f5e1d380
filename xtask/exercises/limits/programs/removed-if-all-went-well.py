#!/usr/bin/env -S python3 -B
# WANT: cgroup-left: removes the cgroup only if the command's status is 0.
# NEEDS: python3
import sys
import base

always = base.clean_up
base.container.clean_up = lambda status: always(status) if status == 0 else None
sys.exit(base.container.main())
