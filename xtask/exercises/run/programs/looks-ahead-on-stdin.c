// WANT: input-lost: looks with getchar(3) whether there is any input, and stdio reads a block of it.
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    int first = getchar();
    if (first != EOF)
        ungetc(first, stdin);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        int status = errno == ENOENT ? 127 : 126;
        err(status, "%s", argv[2]);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
