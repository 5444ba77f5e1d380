// WANT: flag-ignored: copies the name to a buffer of 16 bytes, so a longer name is cut.
#include "../../proc/programs/container.h"

char **flags(char **words) {
    static char name[16];
    if (strcmp(words[0], "--hostname") != 0 || !words[1] || !words[2])
        return words;
    strncpy(name, words[1], sizeof name - 1);
    hostname = name;
    return words + 2;
}
