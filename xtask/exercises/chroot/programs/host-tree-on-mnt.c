// WANT: host-tree-inside | old-root-reachable: binds the host's `/` to /mnt in the rootfs.
#include "../../proc/programs/container.h"

void prepare_rootfs(void) {
    check(mount("/", "rootfs/mnt", NULL, MS_BIND | MS_REC, NULL), "mount bind");
}
