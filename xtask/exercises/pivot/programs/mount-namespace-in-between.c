// WANT: foreign-file-open | descriptors-leaked: the command inherits a mount namespace in which the host's `/` is mounted.
#include "pivot.h"

void make_mounts_private(void) {
    check(dup2(open("/proc/self/ns/mnt", O_RDONLY), 9), "dup2");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    check(unshare(CLONE_NEWNS), "unshare");
}

void close_descriptors(void) {
    close_range(3, 8, 0);
    close_range(10, ~0U, 0);
}
