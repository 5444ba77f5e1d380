// WANT: passes: stacks the old root below the new one, and unmounts it.
#include "pivot.h"
