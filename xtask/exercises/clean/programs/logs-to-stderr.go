// WANT: passes: writes a log of three lines to stderr.
// NEEDS: go
package main

import (
	"log"
	"os"
	"os/exec"
)

func init() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	enter := enterRootfs
	childStarted = func(child *exec.Cmd) { log.Println("process 1 is", child.Process.Pid) }
	childBegins = func() { log.Println("in new namespaces, as", os.Getpid()) }
	enterRootfs = func() {
		enter()
		log.Println("in the rootfs")
	}
}
