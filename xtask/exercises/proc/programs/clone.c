// WANT: passes: creates the namespaces for the child alone, with clone(2), and the command becomes process 1.
// ALSO: status die
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[1 << 20];

static int check(int result, const char *call) {
    if (result < 0)
        err(125, "%s", call);
    return result;
}

static int child(void *words) {
    static char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    char **argv = words;
    check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    check(sethostname("mini-docker", strlen("mini-docker")), "sethostname");
    check(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "mount /");
    check(mount("proc", "rootfs/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    check(chdir("rootfs"), "chdir");
    check(chroot("."), "chroot");
    environ = environment;
    execvp(argv[0], argv);
    int status = errno == ENOENT ? 127 : 126;
    err(status, "%s", argv[0]);
}

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: %s run COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    int flags = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD;
    pid_t pid = check(clone(child, stack + sizeof stack, flags, argv + 2), "clone");
    int status;
    check(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
