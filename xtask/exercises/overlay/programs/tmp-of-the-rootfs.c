// WANT: rootfs-changed: `/` is an overlay, but the rootfs's own /tmp is bound over it, so what is written there stays.
#include "overlay.h"
#include <linux/mount.h>

void prepare_rootfs(void) {
    int tmp = check(syscall(SYS_open_tree, AT_FDCWD, "rootfs/tmp", OPEN_TREE_CLONE), "open_tree");
    overlay_with_a_tmpfs();
    check(syscall(SYS_move_mount, tmp, "", AT_FDCWD, "rootfs/tmp", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    close(tmp);
}
