// WANT: passes: process 1 sends no signal when it ends, and `run` waits for its pidfd with __WALL.
#include "../../proc/programs/container.h"
#include <linux/sched.h>
#include <stdint.h>

static int pidfd = -1;

pid_t start_child(char **words) {
    struct clone_args args = {.flags = namespaces | CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd};
    pid_t pid = check(syscall(SYS_clone3, &args, sizeof args), "clone3");
    if (pid == 0)
        exit(child(words));
    return pid;
}

int wait_for_child(pid_t pid) {
    (void)pid;
    siginfo_t end;
    check(waitid((idtype_t)3 /* P_PIDFD */, pidfd, &end, WEXITED | __WALL), "waitid");
    return end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
}
