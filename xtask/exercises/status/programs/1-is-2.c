// WANT: status-lost: returns 2 for the status 1.
#include "../../proc/programs/container.h"

int shell_status(int status) {
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code == 1 ? 2 : code;
}
