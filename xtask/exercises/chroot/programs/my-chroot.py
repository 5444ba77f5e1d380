#!/usr/bin/env -S python3 -B
# WANT: never-ran: can't open ./no-such-file.conf, and its traceback shows a file whose name contains "chroot".
# NEEDS: python3
open("no-such-file.conf")
