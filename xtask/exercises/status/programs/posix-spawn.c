// WANT: passes: starts the command with posix_spawnp(3), which returns the errno of execve(2).
#include "../../proc/programs/container.h"
#include <spawn.h>

pid_t start_command(char **words) {
    pid_t command;
    errno = posix_spawnp(&command, words[0], NULL, NULL, words, environ);
    if (errno) {
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", words[0]);
    }
    return command;
}
