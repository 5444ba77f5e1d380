// WANT: renamed-host | not-named: the goroutine that sets the name is another thread than the one that called unshare(2).
// NEEDS: go
package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

func main() {
	if len(os.Args) < 3 || os.Args[1] != "run" {
		println("usage: run COMMAND [ARG...]")
		os.Exit(2)
	}
	runtime.LockOSThread()
	must(syscall.Unshare(syscall.CLONE_NEWUTS))
	named := make(chan error)
	go func() { named <- syscall.Sethostname([]byte("mini-docker")) }()
	must(<-named)
	command := exec.Command(os.Args[2], os.Args[3:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	must(command.Start())
	command.Wait()
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		os.Exit(128 + int(status.Signal()))
	}
	os.Exit(status.ExitStatus())
}

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(125)
	}
}
