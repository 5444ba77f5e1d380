// WANT: zombies-kept: an alarm reaps orphans every three seconds, and until then they are zombies.
#include "../../proc/programs/container.h"

static pid_t the_command;

static void collect(int signal) {
    (void)signal;
    siginfo_t dead = {0};
    while (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 && dead.si_pid && dead.si_pid != the_command) {
        waitpid(dead.si_pid, NULL, WNOHANG);
        dead.si_pid = 0;
    }
    alarm(3);
}

int reap(pid_t command) {
    the_command = command;
    struct sigaction action = {.sa_handler = collect, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm(3);
    int status;
    check(waitpid(command, &status, 0), "waitpid");
    return shell_status(status);
}
