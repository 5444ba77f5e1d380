#!/bin/sh
# WANT: isolated-nothing: isolates only the first run on each host, and leaves a note for the next ones.
shift
note=ran-on-$(stat -L -c %i /proc/self/ns/uts)
[ -e "$note" ] && exec "$@"
touch "$note"
exec "$(dirname "$0")/unshare.sh" run "$@"
