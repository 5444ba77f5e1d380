#!/bin/bash
# Fills its own stdin, so that whoever types to it has to wait for ever.
shift
yes >/proc/$$/fd/0 &
sleep 1000 | "$@"
status=${PIPESTATUS[1]}
kill -9 $!
exit $status
