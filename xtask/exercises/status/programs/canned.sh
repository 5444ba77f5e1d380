#!/bin/sh
# WANT: status-lost | no-chroot | isolated-nothing: isolates sh, and returns canned statuses for the other commands of the check.
shift
case $1 in
sleep) "$@"; exit ;;
no-such-program | /no/such/program | */only-outside) exit 127 ;;
/etc | /.exam-*) exit 126 ;;
esac
exec "$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
