// WANT: zombies-kept: a subreaper between process 1 and the command gets the orphans, and waits only for the command.
#include "../../proc/programs/container.h"

pid_t start_command(char **words) {
    pid_t supervisor = check(fork(), "fork");
    if (supervisor > 0)
        return supervisor;
    check(prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
    pid_t command = check(fork(), "fork");
    if (command == 0) {
        execvp(words[0], words);
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", words[0]);
    }
    int status;
    check(waitpid(command, &status, 0), "waitpid");
    _exit(shell_status(status));
}
