// WANT: late: process 1 sets the name after it has started the command, so a quick command sees the host's name.
#include "../../proc/programs/container.h"

void set_hostname(void) {
}

int reap(pid_t command) {
    check(sethostname(hostname, strlen(hostname)), "sethostname");
    for (;;) {
        int status;
        pid_t dead = wait(&status);
        if (dead == command)
            return shell_status(status);
    }
}
