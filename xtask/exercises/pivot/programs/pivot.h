// pivot_root(2) into ./rootfs, with a new /proc before the old root is unmounted.
#include "../../proc/programs/container.h"

void enter_rootfs(void) {
    check(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL), "mount bind");
    check(chdir("rootfs"), "chdir");
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
}

void mount_proc(void) {
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    check(umount2(".", MNT_DETACH), "umount2");
    check(chdir("/"), "chdir");
}
