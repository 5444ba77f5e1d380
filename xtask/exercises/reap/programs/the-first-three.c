// WANT: zombies-kept: reaps the first three children, and after them only the command.
#include "../../proc/programs/container.h"

int reap(pid_t command) {
    int status;
    for (int reaped = 0; reaped < 3; reaped++) {
        pid_t dead = wait(&status);
        if (dead == command)
            return shell_status(status);
    }
    waitpid(command, &status, 0);
    return shell_status(status);
}
