// WANT: dev-left: creates dev/null in the rootfs itself, and removes it only if `run` lives to the end.
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"syscall"
)

func init() {
	enter := enterRootfs
	prepare = func(*exec.Cmd) { must("create", os.WriteFile("rootfs/dev/null", nil, 0o666)) }
	enterRootfs = func() {
		must("mount bind", syscall.Mount("/dev/null", "rootfs/dev/null", "", syscall.MS_BIND, ""))
		enter()
	}
	cleanUp = func() { os.Remove("rootfs/dev/null") }
}
