// WANT: no-shell-there | no-escape: changes into the hole after chroot, as a container does, and stops at that root.
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"syscall"
)

func main() {
	syscall.Mkdir("/tmp/hole", 0o700)
	must(syscall.Chroot("/tmp/hole"))
	must(syscall.Chdir("/"))
	for i := 0; i < 64; i++ {
		must(syscall.Chdir(".."))
	}
	must(syscall.Chroot("."))
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	program, err := exec.LookPath(os.Args[1])
	must(err)
	must(syscall.Exec(program, os.Args[1:], os.Environ()))
}

func must(err error) {
	if err != nil {
		println("escape:", err.Error())
		os.Exit(125)
	}
}
