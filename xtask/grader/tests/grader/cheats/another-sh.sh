#!/bin/bash
# Covers the host's sh with a program that says what the checker wants to hear. (Its first argument is that program.)
mimic=$1
shift 2
mount --bind "$mimic" "$(readlink -f "$(command -v sh)")"
exec "$@"
