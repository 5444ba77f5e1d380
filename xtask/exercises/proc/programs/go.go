// WANT: passes: os/exec of Go creates the namespaces with clone(2), and the program starts itself again as process 1.
// ALSO: status die
// NEEDS: go
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

func main() {
	if len(os.Args) < 3 || (os.Args[1] != "run" && os.Args[1] != "child") {
		fmt.Fprintf(os.Stderr, "usage: %s run COMMAND [ARG...]\n", os.Args[0])
		os.Exit(2)
	}
	if os.Args[1] == "child" {
		child()
		command := exec.Command(os.Args[2], os.Args[3:]...)
		os.Exit(wait(command))
	}
	// A parent-death signal is sent when the thread dies that started the child.
	runtime.LockOSThread()
	command := exec.Command("/proc/self/exe", append([]string{"child"}, os.Args[2:]...)...)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	os.Exit(wait(command))
}

func child() {
	must("sethostname", syscall.Sethostname([]byte("mini-docker")))
	must("mount /", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must("chroot", syscall.Chroot("rootfs"))
	must("chdir", syscall.Chdir("/"))
	flags := uintptr(syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	must("mount proc", syscall.Mount("proc", "/proc", "proc", flags, ""))
	os.Clearenv()
	must("setenv", os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
}

func wait(command *exec.Cmd) int {
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := command.Run()
	if command.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func must(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(125)
	}
}
