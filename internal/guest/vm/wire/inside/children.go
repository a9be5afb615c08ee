package inside

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Children starts processes and collects all exits of this one: also of orphans, which fall to it where it
// is the first process or the subreaper. There is one in a process, and it owns every child.
type Children struct {
	cells *cells
	kick  chan struct{} // there are children again

	mu    sync.Mutex
	known map[int]*child
}

// child is a process that was started.
type child struct {
	pid    int
	ended  chan struct{} // closed when the rest is set
	status syscall.WaitStatus
	usage  syscall.Rusage
}

// NewChildren begins to collect, for as long as this process lives.
func NewChildren() (*Children, error) {
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("becoming the subreaper: %w", err)
		}
	}
	c := &Children{cells: findCells(), kick: make(chan struct{}, 1), known: map[int]*child{}}
	go c.collect()
	return c, nil
}

// Close takes back what was made for programs; those have ended.
func (c *Children) Close() { c.cells.close() }

// collect reaps. Looking and reaping are two steps, so that a number is not free before
// everybody knows that its process has gone.
func (c *Children) collect() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			<-c.kick // there are no children, and so there will be no orphans
		default:
			c.reap()
		}
	}
}

// reap buries all that have ended.
func (c *Children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch := c.known[pid]; ch != nil {
			delete(c.known, pid)
			ch.status, ch.usage = status, usage
			close(ch.ended)
		}
	}
}

// start starts a program and returns after its execve(2).
func (c *Children) start(path string, argv []string, attr *syscall.ProcAttr) (*child, error) {
	c.mu.Lock()
	pid, err := syscall.ForkExec(path, argv, attr)
	ch := &child{pid: pid, ended: make(chan struct{})}
	if err == nil {
		c.known[pid] = ch
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
	return ch, nil
}

// signal sends a signal to the child's process group, which is its own.
func (c *Children) signal(ch *child, sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[ch.pid] != ch {
		return nil
	}
	err := syscall.Kill(-ch.pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
