#!/usr/bin/env -S python3 -B
# WANT: link-name-taken: gives the host end the same name in every run, so a second run at the same time fails.
# NEEDS: python3 ip
import sys
import base

base.link = "veth0"
sys.exit(base.container.main())
