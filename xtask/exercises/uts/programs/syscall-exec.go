// WANT: exec-without-path: becomes the command with syscall.Exec, which doesn't search the PATH.
// NEEDS: go
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

func main() {
	runtime.LockOSThread()
	must("unshare", syscall.Unshare(syscall.CLONE_NEWUTS))
	must("sethostname", syscall.Sethostname([]byte("mini-docker")))
	must("execve", syscall.Exec(os.Args[2], os.Args[2:], os.Environ()))
}

func must(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(125)
	}
}
