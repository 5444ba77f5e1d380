// WANT: stopped-is-not-ended: waits with WUNTRACED, as the example in wait(2) does, and takes a stop for the end.
#include "../../proc/programs/container.h"

int reap(pid_t command) {
    int status;
    waitpid(command, &status, WUNTRACED);
    return WIFSTOPPED(status) ? 128 + WSTOPSIG(status) : shell_status(status);
}
