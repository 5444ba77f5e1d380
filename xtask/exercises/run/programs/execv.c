// WANT: exec-without-path: calls execv(3), which doesn't search the PATH.
#include <err.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    execv(argv[2], argv + 2);
    err(127, "%s", argv[2]);
}
