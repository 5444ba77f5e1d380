#!/bin/bash
# WANT: no-limit | never-ran: sets ulimit -u, which counts a user's processes and not root's, and creates no cgroup.
shift
if [ "$1" = --pids ]; then
    ulimit -u "$2" || exit 125
    shift 2
fi
exec "$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
