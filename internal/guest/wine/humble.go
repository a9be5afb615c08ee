package wine

import (
	"os"

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
func startHumble(t *proc.Table, cmd proc.Cmd) (*proc.Child, error) {
	cmd.FixedLayout = true
	if os.Geteuid() == 0 {
		cmd.GiveUp = []int{unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_CHOWN}
	}
	return t.Start(cmd)
}
