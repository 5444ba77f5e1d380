// WANT: signals-ignored: ignores SIGPIPE, and the command inherits that, so a pipeline in it doesn't end.
#include "../../proc/programs/container.h"

void prepare(void) {
    signal(SIGPIPE, SIG_IGN);
}
