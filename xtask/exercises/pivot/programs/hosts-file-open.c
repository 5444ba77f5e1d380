// WANT: foreign-file-open | descriptors-leaked: process 1 keeps a file of the host open, to which /proc/1/fd/9 leads.
#include "pivot.h"

void make_mounts_private(void) {
    check(dup3(open("/etc/passwd", O_RDONLY), 9, O_CLOEXEC), "dup3");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
}

void close_descriptors(void) {
    close_range(3, 8, 0);
    close_range(10, ~0U, 0);
}
