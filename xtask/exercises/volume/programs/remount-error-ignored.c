// WANT: volume-writable: ignores that the remount is refused, which it is where the mount's own flags are missing.
// NEEDS: locked-flags
#include "volume.h"

void prepare_rootfs(void) {
    if (!host)
        return;
    char to[PATH_MAX];
    snprintf(to, sizeof to, "rootfs%s", inside);
    bind(host, to);
    if (read_only)
        mount(NULL, to, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}
