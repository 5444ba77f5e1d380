// WANT: volume-not-a-directory: binds the files in HOST one by one instead of the directory, so a new file isn't visible outside.
#include "volume.h"
#include <dirent.h>

void prepare_rootfs(void) {
    if (!host)
        return;
    char directory[PATH_MAX], from[2 * PATH_MAX], to[2 * PATH_MAX];
    snprintf(directory, sizeof directory, "rootfs%s", inside);
    check(mount("tmpfs", directory, "tmpfs", 0, NULL), "mount tmpfs");
    DIR *files = opendir(host);
    for (struct dirent *file; (file = readdir(files));) {
        if (file->d_name[0] == '.')
            continue;
        snprintf(from, sizeof from, "%s/%s", host, file->d_name);
        snprintf(to, sizeof to, "%s/%s", directory, file->d_name);
        close(creat(to, 0644));
        bind(from, to);
        if (read_only)
            make_read_only(to);
    }
    closedir(files);
}
