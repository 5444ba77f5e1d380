// WANT: passes: binds six devices into a tmpfs on /dev.
#include "../../proc/programs/container.h"

void prepare_rootfs(void) {
    check(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755"), "mount tmpfs");
    char *devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    for (int i = 0; i < 6; i++) {
        char from[100], to[100];
        snprintf(from, sizeof from, "/dev/%s", devices[i]);
        snprintf(to, sizeof to, "rootfs/dev/%s", devices[i]);
        close(check(creat(to, 0644), "creat"));
        check(mount(from, to, NULL, MS_BIND, NULL), "mount bind");
    }
}
