// WANT: processes-left: a timer in a session of its own outlives the command by half a minute.
#include "../../proc/programs/container.h"

void prepare(void) {
    pid_t run = getpid();
    if (fork() == 0) {
        setsid();
        close_range(0, ~0U, 0);
        sleep(30);
        kill(run, SIGKILL);
        _exit(0);
    }
}
