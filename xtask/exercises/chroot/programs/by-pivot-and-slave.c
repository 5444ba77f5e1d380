// WANT: passes: makes the mounts slaves, enters the rootfs by pivot_root(2), and has six namespaces of its own.
#include "../../proc/programs/container.h"

int namespaces = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;

void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "mount /");
}

void enter_rootfs(void) {
    check(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL), "mount bind");
    check(chdir("rootfs"), "chdir");
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount2");
    check(chdir("/"), "chdir");
}

// The exercise doesn't ask for /proc, and without the old one a user namespace refuses it.
void mount_proc(void) {
    mount("proc", "/proc", "proc", MS_RDONLY, NULL);
}
