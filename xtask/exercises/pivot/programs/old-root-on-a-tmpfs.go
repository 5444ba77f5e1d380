// WANT: passes: moves the old root to a directory on a tmpfs, and unmounts both.
// NEEDS: go
package main

import (
	"os"
	"syscall"
)

func init() {
	enterRootfs = func() {
		must("mount bind", syscall.Mount("rootfs", "rootfs", "", syscall.MS_BIND|syscall.MS_REC, ""))
		must("mount tmpfs", syscall.Mount("tmpfs", "rootfs/mnt", "tmpfs", 0, ""))
		must("mkdir", os.Mkdir("rootfs/mnt/old", 0o700))
		must("pivot_root", syscall.PivotRoot("rootfs", "rootfs/mnt/old"))
		must("chdir", syscall.Chdir("/"))
		mountProc()
		must("umount2", syscall.Unmount("/mnt/old", syscall.MNT_DETACH))
		must("umount2", syscall.Unmount("/mnt", syscall.MNT_DETACH))
	}
}
