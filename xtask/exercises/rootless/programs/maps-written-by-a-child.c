// WANT: passes: a child that stays in the old user namespace writes the maps.
#include "../../proc/programs/container.h"

static void put(pid_t pid, const char *file, const char *text) {
    char path[100];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = check(open(path, O_WRONLY | O_CLOEXEC), path);
    check(write(fd, text, strlen(text)), path);
    close(fd);
}

void prepare(void) {
    pid_t run = getpid();
    int moved[2], status;
    check(pipe2(moved, O_CLOEXEC), "pipe2");
    pid_t writer = check(fork(), "fork");
    if (writer == 0) {
        char byte, map[100];
        check(read(moved[0], &byte, 1) - 1, "read");
        put(run, "setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", getegid());
        put(run, "gid_map", map);
        snprintf(map, sizeof map, "0 %u 1", geteuid());
        put(run, "uid_map", map);
        _exit(0);
    }
    check(unshare(CLONE_NEWUSER), "unshare");
    check(write(moved[1], "x", 1), "write");
    close(moved[0]);
    close(moved[1]);
    check(waitpid(writer, &status, 0), "waitpid");
    if (status != 0)
        exit(125);
}
