/* Types into the terminal that it shares, as if at its keyboard: TIOCSTI(2const). C, for nix has no safe function for it. */
#include <stdio.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    for (char *key = argc > 1 ? argv[1] : ""; *key; key++) {
        if (ioctl(0, TIOCSTI, key) != 0) {
            perror("ioctl(0, TIOCSTI)");
            return 1;
        }
    }
    return 0;
}
