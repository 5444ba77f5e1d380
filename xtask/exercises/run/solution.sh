#!/bin/sh
# A program that runs a command, and isolates nothing. From here on it is yours.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
# It becomes the command. With the quotes, each argument stays one word.
exec "$@"
