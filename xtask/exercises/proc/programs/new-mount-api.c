// WANT: passes: uses fsopen(2), fsmount(2), move_mount(2) and mount_setattr(2) instead of mount(2).
#include "container.h"
#include <linux/mount.h>

static int proc;

void make_mounts_private(void) {
    struct mount_attr private = {.propagation = MS_PRIVATE};
    check(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private), "mount_setattr");
    int fs = check(syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), "fsopen");
    check(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "fsconfig");
    int attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    proc = check(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes), "fsmount");
    close(fs);
}

void mount_proc(void) {
    check(syscall(SYS_move_mount, proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    close(proc);
}
