#!/bin/sh
# WANT: never-ran: prints what the check expects, and runs nothing.
# ALSO: proc
echo ready
read -r word
echo "said $word"
exit 7
