// WANT: no-pid-namespace: calls itself init and prints that it is process 1, but has no PID namespace of its own.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3 || unshare(CLONE_NEWUTS | CLONE_NEWNS) < 0 || sethostname("mini-docker", strlen("mini-docker")) < 0)
        return 125;
    prctl(PR_SET_NAME, "init");
    fprintf(stderr, "Name:\tinit\nPid:\t1\nNSpid:\t15\t1\n");
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}
