// WANT: thread-outside: a thread with a working directory of its own keeps it in the old root, where /proc/1/task shows it.
#include "pivot.h"
#include <pthread.h>
#include <semaphore.h>

static sem_t ready;

static void *stay(void *unused) {
    check(unshare(CLONE_FS), "unshare");
    check(chdir("rootfs/.."), "chdir");
    sem_post(&ready);
    for (;;)
        pause();
    return unused;
}

void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    pthread_t thread;
    sem_init(&ready, 0, 0);
    pthread_create(&thread, NULL, stay, NULL);
    sem_wait(&ready);
}
