// WANT: busy-waiting: calls waitpid(WNOHANG) without a pause, so that process 1 uses a CPU as long as the command runs.
#include "../../proc/programs/container.h"

int reap(pid_t command) {
    for (;;) {
        int status;
        pid_t dead = waitpid(-1, &status, WNOHANG);
        if (dead == command)
            return shell_status(status);
    }
}
