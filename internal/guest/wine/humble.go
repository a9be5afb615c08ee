package wine

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
)

// startHumble starts a process of an instance. Root's obey the permissions of
// files all the same, and change only what is root's: the image is kept from
// harm by permissions, and so is Wine itself, of which it consists. Reading stays
// free.
//
// Nor are their address spaces randomized: Windows' shared data page has its place
// at 0x7ffe0000, and without Wine's preloader, which Debian leaves out, the kernel puts the
// heap of one process in 8,000 there, which then ends with code 1 and no word.
func startHumble(t *proc.Table, cmd proc.Cmd) (child *proc.Child, err error) {
	cmd.FixedLayout = true
	if os.Geteuid() != 0 {
		return t.Start(cmd)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The bounding set, out of which an exec takes its rights, is the thread's.
		// The thread is not unlocked, so it ends with this goroutine.
		runtime.LockOSThread()
		for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_CHOWN} {
			// A root without CAP_SETPCAP, as in some containers, has to do as it is.
			if err = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EPERM) {
				err = fmt.Errorf("giving up rights: %w", err)
				return
			}
		}
		child, err = t.Start(cmd)
	}()
	<-done
	return child, err
}
