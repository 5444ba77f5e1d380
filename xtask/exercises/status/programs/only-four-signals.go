// WANT: signal-lost: knows four signals by name, and returns 1 for all others.
// NEEDS: go
package main

import "syscall"

func init() {
	shellStatus = func(status syscall.WaitStatus) int {
		if !status.Signaled() {
			return status.ExitStatus()
		}
		switch status.Signal() {
		case syscall.SIGINT, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGTERM:
			return 128 + int(status.Signal())
		}
		return 1
	}
}
