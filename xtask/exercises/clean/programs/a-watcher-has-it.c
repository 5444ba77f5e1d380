// WANT: environment-of-a-helper: forks a watcher, process 2, before the environment is replaced in process 1.
#include "../../proc/programs/container.h"

static void report(int signal) {
    (void)signal;
}

void close_descriptors(void) {
    close_range(3, ~0U, 0);
    pid_t watcher = check(fork(), "fork");
    if (watcher == 0)
        for (signal(SIGUSR1, report);;)
            pause();
}
