#!/bin/sh
# WANT: processes-left: leaves a process on the host that lives for a second after the run.
shift
setsid sh -c 'exec <&- >&- 2>&-; sleep 1' &
exec "$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
