// WANT: descriptors-leaked: passes FD_CLOEXEC to F_SETFL instead of F_SETFD, which changes nothing.
#include "../../proc/programs/container.h"

void close_descriptors(void) {
    for (int fd = 3; fd < 1024; fd++)
        fcntl(fd, F_SETFL, FD_CLOEXEC);
}
