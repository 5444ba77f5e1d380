// WANT: passes: creates a time namespace as well.
#include "container.h"

int namespaces = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | 0x80 /* CLONE_NEWTIME */;
