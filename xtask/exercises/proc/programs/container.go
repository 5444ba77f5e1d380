// WANT: passes: os/exec creates the namespaces with clone(2), and the program starts itself again as process 1.
// ALSO: status die clean
// NEEDS: go
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// The parts of a container. A program in Go without a main is built with this file, and its init replaces some of them.
var (
	attributes = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	prepare      = func(child *exec.Cmd) {}
	childStarted = func(child *exec.Cmd) {}
	cleanUp      = func() {}
	childBegins  = func() {}
	enterRootfs  = func() {
		must("chroot", syscall.Chroot("rootfs"))
		must("chdir", syscall.Chdir("/"))
		mountProc()
	}
	shellStatus = func(status syscall.WaitStatus) int {
		if status.Signaled() {
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
)

func main() {
	if len(os.Args) < 3 || (os.Args[1] != "run" && os.Args[1] != "child") {
		fmt.Fprintf(os.Stderr, "usage: %s run COMMAND [ARG...]\n", os.Args[0])
		os.Exit(2)
	}
	if os.Args[1] == "child" {
		os.Exit(child())
	}
	os.Exit(run())
}

func run() int {
	// A parent-death signal is sent when the thread dies that started the child.
	runtime.LockOSThread()
	entries, err := os.ReadDir("/proc/self/fd")
	must("readdir", err)
	for _, entry := range entries {
		if fd, _ := strconv.Atoi(entry.Name()); fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	child := exec.Command("/proc/self/exe", append([]string{"child"}, os.Args[2:]...)...)
	child.SysProcAttr = attributes
	child.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	prepare(child)
	defer cleanUp()
	return wait(child, childStarted)
}

func child() int {
	childBegins()
	must("sethostname", syscall.Sethostname([]byte("mini-docker")))
	must("mount /", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	enterRootfs()
	return wait(exec.Command(os.Args[2], os.Args[3:]...), func(*exec.Cmd) {})
}

func mountProc() {
	flags := uintptr(syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	must("mount proc", syscall.Mount("proc", "/proc", "proc", flags, ""))
}

func wait(command *exec.Cmd, started func(*exec.Cmd)) int {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	started(command)
	command.Wait()
	return shellStatus(command.ProcessState.Sys().(syscall.WaitStatus))
}

func must(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(125)
	}
}
