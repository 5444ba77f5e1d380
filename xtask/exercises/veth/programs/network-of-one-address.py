#!/usr/bin/env -S python3 -B
# WANT: not-reachable: the container's address is 10.0.0.2/32, a network of one address, so no route leads to 10.0.0.1.
# NEEDS: python3 ip
import sys
import base

base.address = "10.0.0.2/32"
sys.exit(base.container.main())
