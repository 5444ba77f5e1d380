// WANT: mounts-shared: makes only `/` private, without MS_REC, so every mount below it stays shared.
#include "../../proc/programs/container.h"

void make_mounts_private(void) {
    check(mount(NULL, "/", NULL, MS_PRIVATE, NULL), "mount /");
}
