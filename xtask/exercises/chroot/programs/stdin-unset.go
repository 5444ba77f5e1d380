// WANT: dev-null-opened: starts the command without setting its stdin, for which os/exec opens /dev/null.
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"syscall"
)

func init() {
	enterRootfs = func() {
		must("chroot", syscall.Chroot("rootfs"))
		must("chdir", syscall.Chdir("/"))
		command := exec.Command(os.Args[2], os.Args[3:]...)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		must("start", command.Run())
		os.Exit(0)
	}
}
