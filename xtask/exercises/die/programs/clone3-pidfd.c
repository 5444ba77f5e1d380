// WANT: passes: creates process 1 with clone3(2) and CLONE_PIDFD, and waits for it with waitid(P_PIDFD).
// ALSO: reap status
#include "../../proc/programs/container.h"
#include <linux/sched.h>
#include <stdint.h>
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd = -1;

pid_t start_child(char **words) {
    int more = CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_PIDFD;
    struct clone_args args = {.flags = namespaces | more, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
    pid_t pid = check(syscall(SYS_clone3, &args, sizeof args), "clone3");
    if (pid == 0)
        exit(child(words));
    return pid;
}

int wait_for_child(pid_t pid) {
    (void)pid;
    siginfo_t info;
    check(waitid(P_PIDFD, pidfd, &info, WEXITED), "waitid");
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
