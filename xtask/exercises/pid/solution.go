// Exercise 2, solved in Go: a process table of its own.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if len(os.Args) < 3 || (os.Args[1] != "run" && os.Args[1] != "child") {
		fmt.Fprintln(os.Stderr, "usage: mine run COMMAND [ARG...]")
		os.Exit(2)
	}
	if os.Args[1] == "child" {
		os.Exit(child(os.Args[2:]))
	}
	os.Exit(run(os.Args[2:]))
}

func run(words []string) int {
	// Go creates the child in new namespaces. That spares us unshare, which would move only one of our threads.
	command := exec.Command("/proc/self/exe", append([]string{"child"}, words...)...)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}
	return wait(command)
}

// Runs as process 1.
func child(words []string) int {
	must("sethostname", syscall.Sethostname([]byte("mini-docker")))
	return wait(exec.Command(words[0], words[1:]...))
}

func wait(command *exec.Cmd) int {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	must("execve", command.Start())
	command.Wait()
	return command.ProcessState.ExitCode()
}

func must(call string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, call+":", err)
		os.Exit(125)
	}
}
