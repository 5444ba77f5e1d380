#!/bin/bash
# WANT: wrong-command: isolates a silent copy of the command, and runs the one that answers on the host.
shift
"$(dirname "$0")/../../proc/programs/unshare.sh" run "$@" </dev/zero >/dev/null 2>&1 &
# Let the check find the copy first.
sleep 0.3
"$@"
status=$?
kill -9 %1
exit $status
