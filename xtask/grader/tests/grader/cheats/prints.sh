#!/bin/sh
# Knows what the checker types and reads, and runs nothing.
echo ready
read -r word
echo "said $word"
exit 7
