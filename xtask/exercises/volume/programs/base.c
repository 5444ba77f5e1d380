// WANT: passes: binds the volume, and makes it read-only with a second call.
#include "volume.h"

void prepare_rootfs(void) {
    if (!host)
        return;
    char to[PATH_MAX];
    snprintf(to, sizeof to, "rootfs%s", inside);
    bind(host, to);
    if (read_only)
        make_read_only(to);
}
