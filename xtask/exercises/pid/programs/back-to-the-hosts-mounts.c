// WANT: no-mount-namespace: process 1 returns to the host's mount namespace with setns(2), to find the command there.
#include "../../proc/programs/container.h"

static int host_namespace;

void prepare(void) {
    host_namespace = check(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "open");
}

void make_mounts_private(void) {
    check(setns(host_namespace, CLONE_NEWNS), "setns");
}

void enter_rootfs(void) {
}

void mount_proc(void) {
}
