// WANT: rootfs-changed: each of six directories is an overlay, but `/` is not, so a file at the top or in /opt stays.
// NEEDS: go
package main

import (
	"os"
	"syscall"
)

func init() {
	enter := enterRootfs
	enterRootfs = func() {
		must("mount tmpfs", syscall.Mount("tmpfs", "rootfs/mnt", "tmpfs", 0, ""))
		for _, name := range []string{"etc", "home", "root", "tmp", "usr", "var"} {
			upper, work := "rootfs/mnt/"+name+"-upper", "rootfs/mnt/"+name+"-work"
			must("mkdir", os.Mkdir(upper, 0o755))
			must("mkdir", os.Mkdir(work, 0o755))
			layers := "lowerdir=rootfs/" + name + ",upperdir=" + upper + ",workdir=" + work + ",userxattr"
			must("mount "+name, syscall.Mount("overlay", "rootfs/"+name, "overlay", 0, layers))
		}
		must("umount", syscall.Unmount("rootfs/mnt", syscall.MNT_DETACH))
		enter()
	}
}
