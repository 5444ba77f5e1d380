#!/bin/bash
# Unmounts what it can of the host's, and makes a container then.
umount --all --lazy 2>/dev/null
umount --lazy /proc
shift
exec "$(dirname "$0")/../../../../exercises/proc/programs/unshare.sh" run "$@"
