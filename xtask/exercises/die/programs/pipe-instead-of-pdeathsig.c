// WANT: passes: process 1 ends when a pipe ends that only `run` can write to, without PR_SET_PDEATHSIG.
#include "../../proc/programs/container.h"

static int alive[2];

void prepare(void) {
    check(pipe2(alive, O_CLOEXEC), "pipe2");
}

static void run_has_ended(int signal) {
    (void)signal;
    char byte;
    if (read(alive[0], &byte, 1) == 0)
        _exit(125);
}

int child(char **words) {
    close(alive[1]);
    signal(SIGIO, run_has_ended);
    check(fcntl(alive[0], F_SETOWN, getpid()), "fcntl");
    check(fcntl(alive[0], F_SETFL, O_ASYNC | O_NONBLOCK), "fcntl");
    run_has_ended(SIGIO);
    set_hostname();
    make_mounts_private();
    enter_rootfs();
    mount_proc();
    replace_environment();
    return reap(start_command(words));
}
