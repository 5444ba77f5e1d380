// A cgroup for `run --pids N`, on cgroup v1 and v2.
#include "../../proc/programs/container.h"

static char old_cgroup[PATH_MAX], new_cgroup[PATH_MAX + 50], *limit;
static int enabled;

static void write_to(const char *directory, const char *file, const char *text) {
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        err(125, "write %s", path);
    close(fd);
}

static void find_cgroup(void) {
    char line[PATH_MAX];
    FILE *table = fopen("/proc/self/cgroup", "re");
    while (fgets(line, sizeof line, table)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':') + 1, *path = strchr(controllers, ':');
        *path++ = 0;
        if (strcmp(controllers, "pids") == 0) {
            snprintf(old_cgroup, sizeof old_cgroup, "/sys/fs/cgroup/pids%s", path);
            break;
        }
        if (*controllers == 0)
            snprintf(old_cgroup, sizeof old_cgroup, "/sys/fs/cgroup%s", path);
    }
    fclose(table);
    snprintf(new_cgroup, sizeof new_cgroup, "%s/mini-%d", old_cgroup, getpid());
}

char **flags(char **words) {
    if (strcmp(words[0], "--pids") != 0 || !words[1] || !words[2])
        return words;
    limit = words[1];
    return words + 2;
}

void prepare(void) {
    if (!limit)
        return;
    char file[2 * PATH_MAX];
    find_cgroup();
    check(mkdir(new_cgroup, 0755), "mkdir");
    write_to(new_cgroup, "cgroup.procs", "0");
    snprintf(file, sizeof file, "%s/pids.max", new_cgroup);
    if (access(file, F_OK) < 0) {
        write_to(old_cgroup, "cgroup.subtree_control", "+pids");
        enabled = 1;
    }
    write_to(new_cgroup, "pids.max", limit);
}

void clean_up(void) {
    if (!limit)
        return;
    if (enabled)
        write_to(old_cgroup, "cgroup.subtree_control", "-pids");
    write_to(old_cgroup, "cgroup.procs", "0");
    check(rmdir(new_cgroup), "rmdir");
}
