// The devices of a container.
#include "../../proc/programs/container.h"

static inline void bind_devices(const char *directory) {
    char *devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    for (int i = 0; i < 6; i++) {
        char from[100], to[PATH_MAX];
        snprintf(from, sizeof from, "/dev/%s", devices[i]);
        snprintf(to, sizeof to, "%s/%s", directory, devices[i]);
        close(check(creat(to, 0644), "creat"));
        check(mount(from, to, NULL, MS_BIND, NULL), "mount bind");
    }
}
