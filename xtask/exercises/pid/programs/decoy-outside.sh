#!/bin/bash
# WANT: wrong-command: isolates the command that answers, and runs a silent copy of it on the host.
shift
"$@" </dev/zero >/dev/null 2>&1 &
sleep 0.3
"$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
status=$?
kill -9 %1
exit $status
