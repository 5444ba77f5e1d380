// WANT: mounts-left | mounted-on-the-host: mounts /proc before CLONE_NEWNS, and unmounts it on the host only at the end.
#include "container.h"

int namespaces = CLONE_NEWUTS | CLONE_NEWPID;

void make_mounts_private(void) {
    check(mount("proc", "rootfs/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    check(unshare(CLONE_NEWNS), "unshare");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
}

void mount_proc(void) {
}

void clean_up(void) {
    umount2("rootfs/proc", MNT_DETACH);
}
