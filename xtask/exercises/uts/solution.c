// Exercise 1, solved in C: a hostname of its own.
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void check(int result, const char *call) {
    if (result < 0)
        err(125, "%s", call);
}

static int run(char **words) {
    check(unshare(CLONE_NEWUTS), "unshare");
    check(sethostname("mini-docker", strlen("mini-docker")), "sethostname");
    execvp(words[0], words);
    err(125, "execve(\"%s\")", words[0]);
}

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: %s run COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    return run(argv + 2);
}
