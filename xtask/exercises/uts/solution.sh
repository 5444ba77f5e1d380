#!/bin/sh
# Exercise 1, solved in the shell: a hostname of its own.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
exec unshare --uts sh -c 'hostname mini-docker && exec "$@"' sh "$@"
