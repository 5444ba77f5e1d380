// Has ever more children, that have all ended.
#include <unistd.h>

int main(void) {
    for (;;)
        if (fork() == 0)
            _exit(0);
}
