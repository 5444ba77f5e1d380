#!/bin/bash
# Makes the host's root read-only, and a container then.
mount -o remount,bind,ro / / || mount -o remount,bind,ro /
shift
exec "$(dirname "$0")/../../../../exercises/proc/programs/unshare.sh" run "$@"
