// WANT: passes: mounts with open_tree(2), fsopen(2), move_mount(2) and mount_setattr(2) instead of mount(2).
#include "../../proc/programs/container.h"
#include <linux/mount.h>

void make_mounts_private(void) {
    struct mount_attr private = {.propagation = MS_PRIVATE};
    check(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private), "mount_setattr");
}

void enter_rootfs(void) {
    int tree = check(
        syscall(SYS_open_tree, AT_FDCWD, "rootfs", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), "open_tree");
    check(syscall(SYS_move_mount, tree, "", AT_FDCWD, "rootfs", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    int fs = check(syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), "fsopen");
    check(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "fsconfig");
    int attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int proc = check(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes), "fsmount");
    check(syscall(SYS_move_mount, proc, "", tree, "proc", MOVE_MOUNT_F_EMPTY_PATH), "move_mount proc");
    check(fchdir(tree), "fchdir");
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount2");
    check(chdir("/"), "chdir");
    close(tree);
    close(fs);
    close(proc);
}

void mount_proc(void) {
}
