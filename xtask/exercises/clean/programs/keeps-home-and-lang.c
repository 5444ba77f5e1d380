// WANT: environment-leaked: keeps HOME, LC_ALL, PS1, CARGO_HOME, USER and LANG from the host, as sudo keeps some variables.
#include "../../proc/programs/container.h"

void replace_environment(void) {
    char *names[] = {"HOME", "LC_ALL", "PS1", "CARGO_HOME", "USER", "LANG", "TERM"}, *values[7];
    for (int i = 0; i < 7; i++)
        values[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
    for (char **variable = environ; *variable; variable++)
        memset(*variable, 0, strlen(*variable));
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    for (int i = 0; i < 7; i++)
        if (values[i])
            setenv(names[i], values[i], 1);
}
