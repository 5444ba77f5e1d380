// WANT: groups-not-denied | map-refused | never-ran | no-user-namespace: sets GidMappingsEnableSetgroups, which requires privileges on the host.
// NEEDS: go
package main

import (
	"os"
	"syscall"
)

func init() {
	attributes.Cloneflags |= syscall.CLONE_NEWUSER
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	attributes.GidMappingsEnableSetgroups = true
}
