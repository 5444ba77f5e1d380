#!/bin/sh
# WANT: words-lost: passes on seven words of the command, and drops the rest.
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
case $# in
2) exec "$2" ;; 3) exec "$2" "$3" ;; 4) exec "$2" "$3" "$4" ;; 5) exec "$2" "$3" "$4" "$5" ;;
6) exec "$2" "$3" "$4" "$5" "$6" ;; 7) exec "$2" "$3" "$4" "$5" "$6" "$7" ;;
*) exec "$2" "$3" "$4" "$5" "$6" "$7" "$8" ;;
esac
