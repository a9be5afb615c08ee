package proc

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// From <linux/personality.h>.
const (
	noRandomize      = 0x0040000  // ADDR_NO_RANDOMIZE
	queryPersonality = 0xffffffff // changes nothing
)

// fixLayout switches the randomization of address spaces off for what this
// thread starts, see personality(2), and returns what was set. ok is false where that is
// forbidden, as in containers with a strict seccomp filter: then it stays on.
func fixLayout() (was uintptr, ok bool) {
	was, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, queryPersonality, 0, 0)
	if e != 0 {
		return 0, false
	}
	return was, setPersonality(was | noRandomize)
}

func setPersonality(p uintptr) bool {
	_, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, p, 0, 0)
	return e == 0
}

// CanFixLayout reports whether Cmd.FixedLayout has an effect here.
func CanFixLayout() bool {
	runtime.LockOSThread()
	was, ok := fixLayout()
	if !ok || setPersonality(was) {
		runtime.UnlockOSThread()
	}
	return ok
}
