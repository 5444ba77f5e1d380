// WANT: thread-outside | still-escapes: a second thread of process 1 stays in the old root, where /proc/1/task shows it.
#include "pivot.h"
#include <pthread.h>

static void *stay(void *unused) {
    for (;;)
        pause();
    return unused;
}

void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    pthread_t thread;
    pthread_create(&thread, NULL, stay, NULL);
    // From here on the other thread is in another mount namespace.
    check(unshare(CLONE_NEWNS), "unshare");
}
