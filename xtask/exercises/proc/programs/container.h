// The parts of a container in C. container.c has a right version of each, as a weak symbol, and is linked to every program in
// C: a program that includes this file defines only the parts that it does differently.
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int check(int result, const char *call); // exits with 125 if the call failed
int shell_status(int status);            // the status that a shell reports

// In `run`, in this order.
extern int namespaces;           // flags for unshare(2)
char **flags(char **words);      // returns the words that follow the flags
void prepare(void);              // does nothing
pid_t start_child(char **words); // unshares, and forks process 1, which calls child
int wait_for_child(pid_t pid);   // returns its status, as a shell reports it
void clean_up(void);             // does nothing

// In process 1, in this order.
int child(char **words);
extern const char *hostname;
void set_hostname(void);
void make_mounts_private(void);
void prepare_rootfs(void); // does nothing
void enter_rootfs(void);   // chroot(2) and chdir(2)
void mount_proc(void);
void close_descriptors(void);
void replace_environment(void);
pid_t start_command(char **words);
int reap(pid_t command); // reaps every child until the command ends, and returns its status
