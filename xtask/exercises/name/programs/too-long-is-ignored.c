// WANT: name-too-long: ignores the result of sethostname(2), so a name of 65 letters is dropped without a message.
#include "../../proc/programs/container.h"

char **flags(char **words) {
    if (strcmp(words[0], "--hostname") != 0 || !words[1] || !words[2])
        return words;
    hostname = words[1];
    return words + 2;
}

void set_hostname(void) {
    check(sethostname("mini-docker", strlen("mini-docker")), "sethostname");
    sethostname(hostname, strlen(hostname));
}
