// WANT: cgroup-left: without `--pids` it creates a cgroup, too, and leaves it behind.
#include "cgroup.h"

pid_t start_child(char **words) {
    if (!limit) {
        find_cgroup();
        // A user namespace may not create one.
        if (mkdir(new_cgroup, 0755) < 0)
            warn("mkdir");
    }
    check(unshare(namespaces), "unshare");
    pid_t pid = check(fork(), "fork");
    if (pid == 0)
        exit(child(words));
    return pid;
}
