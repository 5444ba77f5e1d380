// WANT: passes: process 1 is created in the network namespace, and waits until `run` has put one end there, by its PID.
// NEEDS: go ip
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func init() {
	attributes.Cloneflags |= syscall.CLONE_NEWNET
	var ready, plugged *os.File
	prepare = func(child *exec.Cmd) {
		var err error
		ready, plugged, err = os.Pipe()
		must("pipe", err)
		child.ExtraFiles = []*os.File{ready}
	}
	childStarted = func(child *exec.Cmd) {
		veth, pid := fmt.Sprintf("veth%d", os.Getpid()), strconv.Itoa(child.Process.Pid)
		ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pid)
		ip("address", "add", "10.0.0.1/24", "dev", veth)
		ip("link", "set", veth, "up")
		plugged.Write([]byte("x"))
	}
	childBegins = func() {
		ready := os.NewFile(3, "ready")
		if n, _ := ready.Read(make([]byte, 1)); n != 1 {
			os.Exit(125)
		}
		ready.Close()
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
