// The design of step 4 in Go, for `cargo xtask bench` to race against: it re-executes itself as process 1, moves in, starts
// the command and waits.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "run" {
		run()
	}
	if len(os.Args) > 2 && os.Args[1] == "child" {
		child()
	}
	fmt.Fprintln(os.Stderr, "usage: mini-docker run COMMAND [ARG...]")
	os.Exit(2)
}

func run() {
	cmd := exec.Command("/proc/self/exe", append([]string{"child"}, os.Args[2:]...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	becomeStatusOf(cmd)
}

func child() {
	must(syscall.Sethostname([]byte("mini-docker")))
	must(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must(syscall.Chroot("./rootfs"))
	must(os.Chdir("/"))
	const flags = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	must(syscall.Mount("proc", "/proc", "proc", flags, ""))
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	becomeStatusOf(exec.Command(os.Args[2], os.Args[3:]...))
}

func becomeStatusOf(cmd *exec.Cmd) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		must(err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mini-docker:", err)
		os.Exit(125)
	}
}
