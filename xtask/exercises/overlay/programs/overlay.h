// An overlay on rootfs, in a user namespace or not.
#include "../../proc/programs/container.h"

static inline void overlay(const char *layers) {
    char with[3 * PATH_MAX];
    snprintf(with, sizeof with, "%s,userxattr", layers);
    if (mount("overlay", "rootfs", "overlay", 0, with) < 0)
        check(mount("overlay", "rootfs", "overlay", 0, layers), "mount overlay");
}

static inline void overlay_with_a_tmpfs(void) {
    check(mount("tmpfs", "rootfs/mnt", "tmpfs", 0, NULL), "mount tmpfs");
    check(mkdir("rootfs/mnt/upper", 0755), "mkdir");
    check(mkdir("rootfs/mnt/work", 0755), "mkdir");
    overlay("lowerdir=rootfs,upperdir=rootfs/mnt/upper,workdir=rootfs/mnt/work");
}
