// WANT: proc-sys-writable: /proc is read-only, but /proc/sys is a writable mount on it.
#include "container.h"

void mount_proc(void) {
    check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    check(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL), "mount /proc/sys");
    int read_only = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    check(mount(NULL, "/proc", NULL, read_only, NULL), "remount /proc");
}
