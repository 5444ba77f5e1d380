// WANT: old-root-covered | old-root-reachable: doesn't unmount the old root, but mounts an empty tmpfs over it.
#include "../../proc/programs/container.h"

void enter_rootfs(void) {
    check(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL), "mount bind");
    check(syscall(SYS_pivot_root, "rootfs", "rootfs/mnt"), "pivot_root");
    check(chdir("/"), "chdir");
}

void mount_proc(void) {
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    check(mount("tmpfs", "/mnt", "tmpfs", MS_RDONLY, NULL), "mount tmpfs");
}
