// The same container in C: unshare(2), and fork(2) where the Rust program starts itself anew.
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

static int shell_status(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int check(int result, const char *call) {
    if (result < 0)
        err(125, "%s", call);
    return result;
}

// Process 1: moves in, starts the command, and reaps until it ends.
static int child(char **words) {
    check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    check(sethostname("mini-docker", strlen("mini-docker")), "sethostname");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    check(chroot("rootfs"), "chroot");
    check(chdir("/"), "chdir");
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
    close_range(3, ~0U, 0);
    char *term = getenv("TERM") ? strdup(getenv("TERM")) : NULL;
    // Not only forgotten: what execve(2) put there, /proc/1/environ would show.
    for (char **variable = environ; *variable; variable++)
        memset(*variable, 0, strlen(*variable));
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (term)
        setenv("TERM", term, 1);
    pid_t command = check(fork(), "fork");
    if (command == 0) {
        execvp(words[0], words);
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", words[0]);
    }
    for (;;) {
        int status;
        pid_t dead = wait(&status);
        if (dead == command)
            return shell_status(status);
    }
}

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: %s run COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    check(unshare(CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS), "unshare");
    pid_t pid = check(fork(), "fork");
    if (pid == 0)
        return child(argv + 2);
    int status;
    check(waitpid(pid, &status, 0), "waitpid");
    return shell_status(status);
}
