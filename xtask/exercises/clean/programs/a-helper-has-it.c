// WANT: environment-of-a-helper: a helper next to the command keeps the host's environment, and the command's /proc shows it.
#include "../../proc/programs/container.h"

void close_descriptors(void) {
    if (fork() == 0) {
        close_range(0, ~0U, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    close_range(3, ~0U, 0);
}
