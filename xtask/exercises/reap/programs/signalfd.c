// WANT: passes: reads SIGCHLD from a signalfd(2), reaps with WNOHANG, and gives the command an empty signal mask.
// ALSO: status
#include "../../proc/programs/container.h"
#include <sys/signalfd.h>

static sigset_t child_ended;

pid_t start_command(char **words) {
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, NULL);
    pid_t command = check(fork(), "fork");
    if (command == 0) {
        sigprocmask(SIG_UNBLOCK, &child_ended, NULL);
        execvp(words[0], words);
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", words[0]);
    }
    return command;
}

int reap(pid_t command) {
    int fd = check(signalfd(-1, &child_ended, SFD_CLOEXEC), "signalfd");
    for (;;) {
        struct signalfd_siginfo info;
        check(read(fd, &info, sizeof info), "read");
        int status;
        for (pid_t dead; (dead = waitpid(-1, &status, WNOHANG)) > 0;)
            if (dead == command)
                return shell_status(status);
    }
}
