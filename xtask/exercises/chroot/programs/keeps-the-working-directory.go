// WANT: chroot-without-chdir: returns to the caller's working directory after chroot, through a descriptor.
// NEEDS: go
package main

import "syscall"

func init() {
	enterRootfs = func() {
		here, err := syscall.Open(".", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		must("open", err)
		must("chroot", syscall.Chroot("rootfs"))
		mountProc()
		must("fchdir", syscall.Fchdir(here))
		syscall.Close(here)
	}
}
