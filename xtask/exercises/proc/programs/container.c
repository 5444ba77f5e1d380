// WANT: passes: creates the container with unshare(2), and process 1 with fork(2).
// ALSO: status reap die clean
#include "container.h"

#pragma weak namespaces
int namespaces = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS;
#pragma weak hostname
const char *hostname = "mini-docker";

#define PART __attribute__((weak))

int check(int result, const char *call) {
    if (result < 0)
        err(125, "%s", call);
    return result;
}

PART int shell_status(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

PART char **flags(char **words) {
    return words;
}

PART void prepare(void) {
}

PART pid_t start_child(char **words) {
    check(unshare(namespaces), "unshare");
    pid_t pid = check(fork(), "fork");
    if (pid == 0)
        exit(child(words));
    return pid;
}

PART int wait_for_child(pid_t pid) {
    int status;
    check(waitpid(pid, &status, 0), "waitpid");
    return shell_status(status);
}

PART void clean_up(void) {
}

PART int child(char **words) {
    check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    set_hostname();
    make_mounts_private();
    prepare_rootfs();
    enter_rootfs();
    mount_proc();
    close_descriptors();
    replace_environment();
    return reap(start_command(words));
}

PART void set_hostname(void) {
    check(sethostname(hostname, strlen(hostname)), "sethostname");
}

PART void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
}

PART void prepare_rootfs(void) {
}

PART void enter_rootfs(void) {
    check(chroot("rootfs"), "chroot");
    check(chdir("/"), "chdir");
}

PART void mount_proc(void) {
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
}

PART void close_descriptors(void) {
    close_range(3, ~0U, 0);
}

PART void replace_environment(void) {
    char *term = getenv("TERM") ? strdup(getenv("TERM")) : NULL;
    // execve(2) put the variables where /proc/1/environ shows them, so overwrite them.
    for (char **variable = environ; *variable; variable++)
        memset(*variable, 0, strlen(*variable));
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (term)
        setenv("TERM", term, 1);
}

PART pid_t start_command(char **words) {
    pid_t command = check(fork(), "fork");
    if (command == 0) {
        execvp(words[0], words);
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", words[0]);
    }
    return command;
}

PART int reap(pid_t command) {
    for (;;) {
        int status;
        pid_t dead = wait(&status);
        if (dead == command)
            return shell_status(status);
    }
}

PART int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: %s run COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    char **words = flags(argv + 2);
    prepare();
    int status = wait_for_child(start_child(words));
    clean_up();
    return status;
}
