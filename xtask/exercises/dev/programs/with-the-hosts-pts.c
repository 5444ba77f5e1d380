// WANT: dev-of-the-host: binds the host's /dev/pts as well, which has the terminals of all users.
#include "dev.h"

void prepare_rootfs(void) {
    check(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755"), "mount tmpfs");
    bind_devices("rootfs/dev");
    check(mkdir("rootfs/dev/pts", 0755), "mkdir");
    check(mount("/dev/pts", "rootfs/dev/pts", NULL, MS_BIND | MS_REC, NULL), "mount bind");
}
