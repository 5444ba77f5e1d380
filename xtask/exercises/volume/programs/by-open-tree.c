// WANT: passes: copies HOST's mounts with open_tree(2) before chroot, and attaches them with move_mount(2) after it.
#include "volume.h"
#include <linux/mount.h>

static int tree;

void prepare_rootfs(void) {
    if (!host)
        return;
    int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    tree = check(syscall(SYS_open_tree, AT_FDCWD, host, flags), "open_tree");
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    int everywhere = AT_EMPTY_PATH | AT_RECURSIVE;
    if (read_only)
        check(syscall(SYS_mount_setattr, tree, "", everywhere, &attributes, sizeof attributes), "mount_setattr");
}

void mount_proc(void) {
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    if (!host)
        return;
    check(syscall(SYS_move_mount, tree, "", AT_FDCWD, inside, MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    close(tree);
}
