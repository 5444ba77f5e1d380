// WANT: volume-writable-elsewhere: binds the volume to /media or /mnt as well, where it is writable even with `:ro`.
#include "volume.h"

void prepare_rootfs(void) {
    if (!host)
        return;
    char to[PATH_MAX];
    snprintf(to, sizeof to, "rootfs%s", inside);
    bind(host, to);
    bind(host, strcmp(inside, "/media") ? "rootfs/media" : "rootfs/mnt");
    if (read_only)
        make_read_only(to);
}
