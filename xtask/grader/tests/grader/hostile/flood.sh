#!/bin/bash
# Writes without end, to both.
yes "out of order" >&2 &
exec yes "out of bounds"
