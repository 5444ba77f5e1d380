// WANT: still-escapes | old-root-reachable: a helper's mount namespace still has the old root, to which /proc/2/root leads.
#include "pivot.h"

void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    int ready[2];
    check(pipe2(ready, O_CLOEXEC), "pipe2");
    pid_t helper = check(fork(), "fork");
    if (helper == 0) {
        check(unshare(CLONE_NEWNS), "unshare");
        close_range(3, ~0U, 0);
        for (;;)
            pause();
    }
    // Returns at the end of the file, when the helper has closed the other end.
    char byte;
    close(ready[1]);
    check(read(ready[0], &byte, 1), "read");
    close(ready[0]);
}
