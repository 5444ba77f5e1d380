// WANT: term-ignored: forwards SIGTERM to process 1, which has no handler, so the kernel drops it.
#include "../../proc/programs/container.h"

static pid_t process_1;

static void forward(int signal) {
    kill(process_1, signal);
}

int wait_for_child(pid_t pid) {
    process_1 = pid;
    struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    int status;
    check(waitpid(pid, &status, 0), "waitpid");
    return shell_status(status);
}
