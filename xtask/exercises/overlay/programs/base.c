// WANT: passes: mounts an overlay with a tmpfs as its upper layer.
#include "overlay.h"

void prepare_rootfs(void) {
    overlay_with_a_tmpfs();
}
