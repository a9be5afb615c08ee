package proc

import (
	"os"
	"syscall"
)

// Isolate says which namespaces a child gets. The zero value: none of its own.
type Isolate struct {
	// PID makes the child PID 1 of a new PID namespace, with a mount namespace of
	// its own in which it is to mount /proc (MountProc). When it ends, however it ends, the
	// kernel ends everything in the namespace (pid_namespaces(7)).
	PID bool
}

// apply adds the namespaces to sys. Without root that takes a user namespace,
// in which the user keeps the own numbers.
func (i Isolate) apply(sys *syscall.SysProcAttr) {
	if !i.PID {
		return
	}
	sys.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		sys.Cloneflags |= syscall.CLONE_NEWUSER
		sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		// Mounting /proc takes CAP_SYS_ADMIN in the new namespace, which an exec by
		// a user other than its root would drop.
		sys.AmbientCaps = []uintptr{capSysAdmin}
	}
}

const capSysAdmin = 21 // CAP_SYS_ADMIN, capabilities(7)
