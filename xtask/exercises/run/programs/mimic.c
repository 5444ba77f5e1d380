// WANT: wrong-command: becomes the command by name and arguments, but executes itself, and as `sh` prints what sh would print.
// ALSO: proc
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (strcmp(argv[0], "sh") == 0) {
        char word[100] = "";
        prctl(PR_SET_NAME, "sh");
        puts("ready");
        fflush(stdout);
        if (!fgets(word, sizeof word, stdin))
            sleep(1);
        printf("said %s", word);
        return 7;
    }
    if (argc > 2)
        execv("/proc/self/exe", argv + 2);
    return 125;
}
