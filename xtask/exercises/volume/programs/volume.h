// The flag `-v HOST:CONTAINER[:ro]`.
#include "../../proc/programs/container.h"

static char *host, *inside;
static int read_only;

char **flags(char **words) {
    if (strcmp(words[0], "-v") != 0 || !words[1] || !words[2])
        return words;
    host = strtok(strdup(words[1]), ":");
    inside = strtok(NULL, ":");
    char *mode = strtok(NULL, ":");
    read_only = mode && strcmp(mode, "ro") == 0;
    return words + 2;
}

static inline void bind(const char *from, const char *to) {
    check(mount(from, to, NULL, MS_BIND | MS_REC, NULL), "mount bind");
}

static inline void make_read_only(const char *place) {
    check(mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "mount ro");
}
