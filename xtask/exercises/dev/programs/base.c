// WANT: passes: binds six devices into a tmpfs on /dev.
#include "dev.h"

void prepare_rootfs(void) {
    check(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755"), "mount tmpfs");
    bind_devices("rootfs/dev");
}
