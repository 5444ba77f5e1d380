#!/bin/bash
# The other way round: the one on the host is silent.
shift
folder=$(dirname "$0")
"$@" </dev/zero >/dev/null 2>&1 &
sleep 0.3
"$folder/../shapes/unshare.sh" run "$@"
status=$?
kill -9 %1
exit $status
