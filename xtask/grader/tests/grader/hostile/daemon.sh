#!/bin/bash
# Leaves a daemon that keeps the pipes, and makes a container.
setsid --fork sleep 1000
shift
exec "$(dirname "$0")/../../../../exercises/proc/programs/unshare.sh" run "$@"
