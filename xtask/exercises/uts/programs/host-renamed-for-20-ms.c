// WANT: renamed-host: renames the host for 20 ms, and restores its name before the command starts.
#include "../../proc/programs/container.h"

int namespaces = CLONE_NEWPID | CLONE_NEWNS;

void prepare(void) {
    char old[100];
    gethostname(old, sizeof old);
    int outer = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    check(sethostname(hostname, strlen(hostname)), "sethostname");
    usleep(20000);
    check(unshare(CLONE_NEWUTS), "unshare uts");
    int inner = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    check(setns(outer, CLONE_NEWUTS), "setns");
    check(sethostname(old, strlen(old)), "sethostname");
    check(setns(inner, CLONE_NEWUTS), "setns");
}

void set_hostname(void) {
}
