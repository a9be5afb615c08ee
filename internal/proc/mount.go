package proc

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mount is a folder to be changed within a mount namespace.
type Mount struct {
	Dir    string
	Memory int64 // above 0: an empty file system in memory is mounted there, of at most so many bytes; 0: what is there becomes read-only
}

// MountProc gives PID 1 of a new PID and mount namespace a /proc that shows the
// namespace's own processes, and the mounts, all visible to nobody else. It fails where the system
// does not allow it (a /proc that a container has masked); the process is then
// of no use as PID 1 and must end.
//
// Without root the mount took a capability that what is started from here on must
// not have. Capabilities belong to threads, so the process executes itself
// anew, with args instead of os.Args, and MountProc does not return.
func MountProc(args []string, mounts ...Mount) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Private first, or the mount would spread to the host.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, m := range mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("dropping ambient capabilities: %w", err)
	}
	if err := syscall.Exec("/proc/self/exe", args, os.Environ()); err != nil {
		return fmt.Errorf("executing muster without capabilities: %w", err)
	}
	return nil
}

func (m Mount) mount() error {
	if m.Memory > 0 {
		options := fmt.Sprintf("mode=0700,size=%d", m.Memory)
		if err := unix.Mount("muster", m.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return fmt.Errorf("mounting a folder in memory on %s: %w", m.Dir, err)
		}
		return nil
	}
	if err := unix.Mount(m.Dir, m.Dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s: %w", m.Dir, err)
	}
	// In a user namespace the flags that the file system is mounted with must stay.
	var st unix.Statfs_t
	if err := unix.Statfs(m.Dir, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", m.Dir, err)
	}
	keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	if err := unix.Mount("", m.Dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|keep, ""); err != nil {
		return fmt.Errorf("protecting %s: %w", m.Dir, err)
	}
	return nil
}
