#!/bin/bash
# WANT: isolated-nothing: covers the host's /proc with an empty file system, so nothing can be observed.
mount -t tmpfs none /proc
shift
exec "$@"
