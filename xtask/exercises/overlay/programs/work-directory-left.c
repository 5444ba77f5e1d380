// WANT: upper-left: keeps its layers in /tmp, and can't remove the work directory, in which the kernel has created another.
#include "overlay.h"
#include <ftw.h>

static char directory[] = "/tmp/layers-XXXXXX", upper[100], work[100];

void prepare(void) {
    check(mkdtemp(directory) ? 0 : -1, "mkdtemp");
    snprintf(upper, sizeof upper, "%s/upper", directory);
    snprintf(work, sizeof work, "%s/work", directory);
    check(mkdir(upper, 0755), "mkdir");
    check(mkdir(work, 0755), "mkdir");
}

void prepare_rootfs(void) {
    char layers[300];
    snprintf(layers, sizeof layers, "lowerdir=rootfs,upperdir=%s,workdir=%s", upper, work);
    overlay(layers);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

void clean_up(void) {
    nftw(upper, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(work);
    rmdir(directory);
}
