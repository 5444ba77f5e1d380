// WANT: no-shell-there | no-escape: takes only two steps up from /tmp, to the directory that the rootfs is in.
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"syscall"
)

func main() {
	must(syscall.Chdir("/tmp"))
	syscall.Mkdir("hole", 0o700)
	must(syscall.Chroot("hole"))
	must(syscall.Chdir("../.."))
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
