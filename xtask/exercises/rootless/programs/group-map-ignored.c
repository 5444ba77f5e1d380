// WANT: groups-not-denied | not-mapped: writes gid_map without "deny" in setgroups, and ignores that it is refused.
#include "../../proc/programs/container.h"

static int put(const char *file, unsigned outside) {
    char map[100];
    snprintf(map, sizeof map, "0 %u 1", outside);
    int fd = check(open(file, O_WRONLY | O_CLOEXEC), file);
    int result = write(fd, map, strlen(map));
    close(fd);
    return result;
}

void prepare(void) {
    uid_t uid = geteuid();
    gid_t gid = getegid();
    check(unshare(CLONE_NEWUSER), "unshare");
    put("/proc/self/gid_map", gid);
    check(put("/proc/self/uid_map", uid), "write uid_map");
}
