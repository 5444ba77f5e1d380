// Exercise 1, solved in Go: a hostname of its own.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

func main() {
	if len(os.Args) < 3 || os.Args[1] != "run" {
		fmt.Fprintln(os.Stderr, "usage: mine run COMMAND [ARG...]")
		os.Exit(2)
	}
	run(os.Args[2:])
}

func run(words []string) {
	// Namespaces belong to threads, and unshare moves only the calling one, so stay on it.
	runtime.LockOSThread()
	must("unshare", syscall.Unshare(syscall.CLONE_NEWUTS))
	must("sethostname", syscall.Sethostname([]byte("mini-docker")))
	path, err := exec.LookPath(words[0])
	must("execve", err)
	must("execve", syscall.Exec(path, words, os.Environ()))
}

func must(call string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, call+":", err)
		os.Exit(125)
	}
}
