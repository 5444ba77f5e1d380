// WANT: descriptors-leaked: closes only the descriptors 3 to 9 and 500.
#include "../../proc/programs/container.h"

void close_descriptors(void) {
    for (int fd = 3; fd < 10; fd++)
        close(fd);
    close(500);
}
