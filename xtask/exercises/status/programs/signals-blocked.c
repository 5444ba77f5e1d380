// WANT: signals-blocked: blocks SIGTERM and SIGINT for itself, and the command inherits the mask, so SIGTERM can't kill it.
#include "../../proc/programs/container.h"

void prepare(void) {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}
