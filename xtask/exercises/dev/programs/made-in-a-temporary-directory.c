// WANT: passes: fills a tmpfs in a directory of /tmp, moves it to the rootfs with MS_MOVE, and removes the directory.
#include "dev.h"

void prepare_rootfs(void) {
    char directory[] = "/tmp/dev-XXXXXX";
    check(mkdtemp(directory) ? 0 : -1, "mkdtemp");
    check(mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755"), "mount tmpfs");
    bind_devices(directory);
    check(mount(directory, "rootfs/dev", NULL, MS_MOVE, NULL), "mount move");
    check(rmdir(directory), "rmdir");
}
