// A program that runs a command, and isolates nothing. From here on it is yours.
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: %s run COMMAND [ARG...]\n", argv[0]);
        return 2;
    }
    // It becomes the command, so the exit status is the command's own.
    execvp(argv[2], argv + 2);
    // Name each call in its error, as here: what the kernel says is mostly "No such file or directory".
    err(125, "execve(\"%s\")", argv[2]);
}
