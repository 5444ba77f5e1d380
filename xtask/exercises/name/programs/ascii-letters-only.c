// WANT: flag-ignored: keeps only letters, digits and hyphens of the name, so that web.example becomes webexample.
#include "../../proc/programs/container.h"

char **flags(char **words) {
    static char kept[100];
    if (strcmp(words[0], "--hostname") != 0 || !words[1] || !words[2])
        return words;
    char *to = kept;
    for (char *c = words[1]; *c; c++)
        if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-')
            *to++ = *c;
    hostname = kept;
    return words + 2;
}
