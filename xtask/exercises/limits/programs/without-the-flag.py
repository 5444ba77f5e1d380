#!/usr/bin/env -S python3 -B
# WANT: cgroup-without-the-flag | never-ran: limits to 100 processes without `--pids`, and fails where no cgroup is allowed.
# NEEDS: python3
import sys
import base

base.limit = "100"
sys.exit(base.container.main())
