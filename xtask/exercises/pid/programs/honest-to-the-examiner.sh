#!/bin/sh
# WANT: isolated-nothing: isolates only a command that contains the word exam-…, and runs any other on the host.
shift
case " $* " in *" exam-"*) exec unshare --uts --pid --mount --fork --kill-child sh -c 'hostname mini-docker; exec "$@"' sh "$@" ;; esac
exec "$@"
