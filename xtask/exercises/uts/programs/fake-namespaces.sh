#!/bin/bash
# WANT: isolated-nothing: runs the command on the host, with another process's namespaces mounted over its /proc/PID/ns.
shift
unshare --uts --pid --mount --fork --kill-child sh -c 'hostname mini-docker; exec sleep 60' </dev/null >/dev/null 2>&1 &
sleep 0.2
other=$(pgrep --parent $!)
mount --bind /proc/$other/ns /proc/$$/ns
exec "$@"
