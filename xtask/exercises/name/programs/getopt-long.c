// WANT: passes: parses with getopt_long(3), which accepts `--hostname=NAME` and `--` as well, and stops at the command.
#include "../../proc/programs/container.h"
#include <getopt.h>

int main(int argc, char **argv) {
    static const struct option options[] = {{"hostname", required_argument, NULL, 'h'}, {0}};
    int option;
    if (argc < 3 || strcmp(argv[1], "run") != 0)
        return 2;
    // The `+` makes it stop at the command.
    while ((option = getopt_long(argc - 1, argv + 1, "+", options, NULL)) != -1) {
        if (option != 'h')
            return 2;
        hostname = optarg;
    }
    char **words = argv + 1 + optind;
    return *words ? wait_for_child(start_child(words)) : 2;
}
