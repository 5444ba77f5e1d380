// WANT: link-not-there-yet: process 1 gives its end an address at once, and `run` creates the link half a second later.
// NEEDS: go ip
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

func init() {
	attributes.Cloneflags |= syscall.CLONE_NEWNET
	childStarted = func(child *exec.Cmd) {
		time.Sleep(500 * time.Millisecond)
		veth, pid := fmt.Sprintf("veth%d", os.Getpid()), strconv.Itoa(child.Process.Pid)
		ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pid)
		ip("address", "add", "10.0.0.1/24", "dev", veth)
		ip("link", "set", veth, "up")
	}
	childBegins = func() {
		ip("address", "add", "10.0.0.2/24", "dev", "eth0")
		ip("link", "set", "eth0", "up")
		ip("link", "set", "lo", "up")
	}
}

func ip(words ...string) {
	command := exec.Command("ip", words...)
	command.Stderr = os.Stderr
	must("ip", command.Run())
}
