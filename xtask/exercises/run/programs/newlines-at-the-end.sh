#!/bin/bash
# WANT: words-lost: passes each word through $(...), which drops newlines at its end.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
for word; do shift; set -- "$@" "$(printf %s "$word")"; done
exec "$@"
