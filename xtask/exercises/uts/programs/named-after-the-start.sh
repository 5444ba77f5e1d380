#!/bin/bash
# WANT: late | not-named: nsenter(1) sets the name a tenth of a second after the command has started.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
unshare --uts "$@" <&0 &
sleep 0.1
nsenter --target $! --uts hostname mini-docker 2>/dev/null
wait $!
