// WANT: wrong-command: mounts itself over the host's sh, and as `sh` prints what sh would print.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (strcmp(argv[0], "sh") == 0) {
        char word[100] = "";
        puts("ready");
        fflush(stdout);
        if (!fgets(word, sizeof word, stdin))
            sleep(1);
        printf("said %s", word);
        return 7;
    }
    if (argc < 3 || mount(realpath("/proc/self/exe", NULL), realpath("/bin/sh", NULL), NULL, MS_BIND, NULL) < 0)
        return 125;
    execvp(argv[2], argv + 2);
    return 127;
}
