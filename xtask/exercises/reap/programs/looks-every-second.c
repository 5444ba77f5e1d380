// WANT: zombies-kept: reaps once a second, so an orphan stays a zombie for up to a second and `run` ends late.
#include "../../proc/programs/container.h"

int reap(pid_t command) {
    for (;;) {
        int status;
        pid_t dead;
        while ((dead = waitpid(-1, &status, WNOHANG)) > 0)
            if (dead == command)
                return shell_status(status);
        sleep(1);
    }
}
