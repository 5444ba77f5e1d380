// WANT: term-ignored: `run` forwards SIGTERM to the command and waits, so a command that ignores it keeps `run` alive.
#include "../../proc/programs/container.h"

static pid_t receiver;

static void forward(int signal) {
    kill(receiver, signal);
}

static void forward_term_to(pid_t pid) {
    receiver = pid;
    struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
}

int wait_for_child(pid_t pid) {
    forward_term_to(pid);
    int status;
    check(waitpid(pid, &status, 0), "waitpid");
    return shell_status(status);
}

int reap(pid_t command) {
    forward_term_to(command);
    for (;;) {
        int status;
        pid_t dead = wait(&status);
        if (dead == command)
            return shell_status(status);
    }
}
