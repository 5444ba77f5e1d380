// WANT: passes: setns(2) into its own mount namespace moves its root to the root of that namespace.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (setns(own, CLONE_NEWNS) < 0)
        err(125, "setns");
    execvp(argv[1], argv + 1);
    return 127;
}
