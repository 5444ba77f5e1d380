// WANT: dev-of-the-host: binds the host's /dev to /mnt, and makes /dev symbolic links to it.
#include "../../proc/programs/container.h"

void prepare_rootfs(void) {
    check(mount("tmpfs", "rootfs/dev", "tmpfs", 0, NULL), "mount tmpfs");
    check(mount("/dev", "rootfs/mnt", NULL, MS_BIND | MS_REC, NULL), "mount bind");
    check(symlink("/mnt/null", "rootfs/dev/null"), "symlink");
    check(symlink("/mnt", "rootfs/dev/host"), "symlink");
    check(symlink("/mnt/sda", "rootfs/dev/sda"), "symlink");
}
