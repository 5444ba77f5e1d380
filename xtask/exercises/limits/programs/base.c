// WANT: passes: creates a cgroup for `--pids`, and removes it.
#include "cgroup.h"
