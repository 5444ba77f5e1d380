// WANT: mounts-left | mounted-on-the-host | upper-left: mounts one tmpfs for the upper layers of all runs on the host.
#include "overlay.h"

static int host_namespace;
static char layers[PATH_MAX];

void prepare(void) {
    host_namespace = check(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "open");
    mkdir("layers", 0755);
    check(realpath("layers", layers) ? 0 : -1, "realpath");
    check(mount("tmpfs", layers, "tmpfs", 0, NULL), "mount tmpfs");
    check(mkdir("layers/upper", 0755), "mkdir");
    check(mkdir("layers/work", 0755), "mkdir");
}

void prepare_rootfs(void) {
    overlay("lowerdir=rootfs,upperdir=layers/upper,workdir=layers/work");
}

// It unmounts the tmpfs at the end, but two runs at the same time share it.
void clean_up(void) {
    setns(host_namespace, CLONE_NEWNS);
    umount2(layers, MNT_DETACH);
}
