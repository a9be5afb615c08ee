package machine

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ends are the ends of what QEMU inherits. err is the first thing that failed.
type ends struct {
	theirs []*os.File
	ours   []interface{ Close() error }
	err    error
}

// pair is a socket pair: our end, and the one that QEMU inherits.
type pair struct {
	ours   *net.UnixConn
	theirs *os.File
}

func (e *ends) pair() pair {
	if e.err != nil {
		return pair{}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		e.err = os.NewSyscallError("socketpair", err)
		return pair{}
	}
	mine := os.NewFile(uintptr(fds[0]), "machine")
	defer mine.Close() // FileConn makes a copy of its own
	theirs := os.NewFile(uintptr(fds[1]), "machine")
	e.theirs = append(e.theirs, theirs)
	conn, err := net.FileConn(mine)
	if err != nil {
		e.err = err
		return pair{}
	}
	e.ours = append(e.ours, conn)
	return pair{conn.(*net.UnixConn), theirs}
}

// pipe is for what QEMU only writes.
func (e *ends) pipe() (p struct{ from, theirs *os.File }) {
	if e.err != nil {
		return p
	}
	if p.from, p.theirs, e.err = os.Pipe(); e.err == nil {
		e.theirs = append(e.theirs, p.theirs)
		e.ours = append(e.ours, p.from)
	}
	return p
}

// close closes QEMU's ends, and ours when there is no QEMU.
func (e *ends) close(failed bool) error {
	var errs []error
	for _, f := range e.theirs {
		errs = append(errs, f.Close())
	}
	if failed {
		for _, f := range e.ours {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
