// WANT: passes: writes the name to /proc/sys/kernel/hostname, which only the machine's own root may write.
// NEEDS: root
#include "../../proc/programs/container.h"

void set_hostname(void) {
    int fd = check(open("/proc/sys/kernel/hostname", O_WRONLY | O_CLOEXEC), "open hostname");
    check(write(fd, hostname, strlen(hostname)), "write hostname");
    close(fd);
}
