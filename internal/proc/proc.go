// Package proc is the only place in muster that starts processes. A Table owns
// all children of the process it lives in: those that Start made, and the
// orphans that fall to it because it is their subreaper or PID 1. One goroutine
// collects every exit, so ten thousand children cost ten thousand map entries
// and not ten thousand threads.
package proc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// Cmd is a process to start. It leads a session of its own, so that it has no
// controlling terminal and its process group can be signalled as a whole.
type Cmd struct {
	Path  string     // of the executable; never searched for
	Args  []string   // with argv[0]
	Dir   string     // "" means this process's
	Env   []string   // the whole environment
	Files []*os.File // further descriptors, from 3

	// Streams; nil is /dev/null. The caller closes its own ends.
	Stdin, Stdout, Stderr *os.File

	// Ended, if not nil, is called once when the process has ended, by whoever collects all
	// exits: it must wait for nothing, and may come before Start returns.
	Ended func()

	CPUs        []int          // CPUs to run on; nil: as this process
	Limits      []Limit        // resource limits, set before the program runs
	DeathSignal syscall.Signal // sent when the *thread* that calls Start ends; see StartLocked
	Isolate     Isolate        // namespaces to put the child into
	FixedLayout bool           // without address space randomization, where the system lets one do without
	GiveUp      []int          // capabilities (unix.CAP_…) that it never has, as far as this process can take them from it; not with DeathSignal
}

// Limit is one resource limit, soft and hard alike.
type Limit struct {
	Resource int // unix.RLIMIT_…
	Value    uint64
}

// Table owns the children of this process. There is at most one in a process,
// and nothing else in that process may start or wait for children.
type Table struct {
	null    *os.File
	started chan struct{} // there may be children again
	quit    chan struct{}
	ended   chan struct{} // closed when collect has returned
	lowered lowered       // threads for Cmd.GiveUp

	mu       sync.Mutex
	children map[int]*Child
	begun    uint64              // Starts so far
	inflight map[uint64]struct{} // those of them between fork and entry into children
	early    map[int]result      // exits seen meanwhile, of children not entered yet
	closed   bool                // nothing more is collected
}

type result struct {
	status syscall.WaitStatus
	usage  syscall.Rusage
	at     time.Time
	begun  uint64 // of the table then: a Start that began later is not meant
}

// Child is a process that Start made.
type Child struct {
	table *Table
	pid   int
	env   []string
	ended func() // may be nil
	done  chan struct{}
	res   result // valid once done is closed
}

// NewTable makes this process the owner of its children and, by
// PR_SET_CHILD_SUBREAPER (prctl(2)), of the orphans below them. Close it.
//
// Children get the descriptors of their Cmd alone: what this process has itself
// inherited beyond its streams goes no further. Who has started muster may wait for the end of a pipe, or
// hold a lock, that a program would otherwise keep for days.
func NewTable() (*Table, error) {
	if err := keepDescriptors(); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("becoming the subreaper: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	t := &Table{
		null:     null,
		started:  make(chan struct{}, 1),
		quit:     make(chan struct{}),
		ended:    make(chan struct{}),
		children: map[int]*Child{},
		inflight: map[uint64]struct{}{},
		early:    map[int]result{},
	}
	go t.collect()
	return t, nil
}

// keepDescriptors marks everything but the standard streams to be closed by an exec.
func keepDescriptors() error {
	err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// A kernel before 5.11.
	names, err := readNames("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("listing this process's descriptors: %w", err)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// Close ends the collecting of exits as soon as there is no child: those that are
// still alive stay alive, and nobody collects them any more. Without
// children it has ended when Close returns, so that a Table made later
// loses no exit to this one.
func (t *Table) Close() error {
	t.lowered.close()
	close(t.quit)
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.ECHILD) {
			<-t.ended
			break
		}
		if err == nil && info.Signo == 0 {
			// Some are alive. Their exits must not be taken by a collector that
			// nobody listens to, and less so those of a later Table's children.
			t.mu.Lock()
			t.closed = true
			t.mu.Unlock()
			break
		}
		time.Sleep(100 * time.Microsecond) // until those that have ended are collected
	}
	return t.null.Close()
}

// collect reaps every child that ends. It waits in the kernel, for a child of
// any kind: that wakes it sooner than SIGCHLD would, which takes two more hops
// through the runtime. Without children there are no orphans to come either, so
// it can sleep until the next Start.
func (t *Table) collect() {
	defer close(t.ended)
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == nil:
			t.reap()
			if t.isClosed() {
				return
			}
		case errors.Is(err, unix.ECHILD):
			select {
			case <-t.started:
			case <-t.quit:
				return
			}
		}
	}
}

func (t *Table) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

func (t *Table) reap() {
	for {
		var r result
		// The lock makes "reaped" and "known to be gone" one step, so that Signal
		// can never meet a number that belongs to somebody else by now.
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return
		}
		pid, err := syscall.Wait4(-1, &r.status, syscall.WNOHANG, &r.usage)
		if err == syscall.EINTR {
			t.mu.Unlock()
			continue
		}
		if err != nil || pid <= 0 {
			t.mu.Unlock()
			return
		}
		r.at = time.Now()
		c := t.children[pid]
		if c != nil {
			delete(t.children, pid)
			c.res = r
			close(c.done)
		} else if len(t.inflight) > 0 {
			r.begun = t.begun
			t.early[pid] = r
		}
		t.mu.Unlock()
		if c != nil && c.ended != nil {
			c.ended()
		}
	}
}

// Start starts a process. It costs a vfork and an exec, whatever the size of
// this process.
func (t *Table) Start(c Cmd) (child *Child, err error) {
	if len(c.GiveUp) == 0 {
		child, _, err = t.startOn(c)
	} else {
		t.lowered.do(c.GiveUp, func(failed error) (unspoiled bool) {
			if err = failed; err == nil {
				child, unspoiled, err = t.startOn(c)
			}
			return unspoiled
		})
	}
	if err != nil {
		return nil, err
	}
	return child, child.limit(c.Limits)
}

// startOn starts c from a thread that has the CPU affinity and the personality
// that the child is to have, and inherits. The thread is not used again when its own cannot be
// restored.
func (t *Table) startOn(c Cmd) (child *Child, restored bool, err error) {
	restored = true
	if c.CPUs == nil && !c.FixedLayout {
		child, err = t.start(c)
		return child, restored, err
	}
	runtime.LockOSThread()
	defer func() {
		if restored {
			runtime.UnlockOSThread()
		}
	}()
	if c.CPUs != nil {
		was, err := pin(c.CPUs)
		if err != nil {
			return nil, restored, err
		}
		defer func() { restored = unix.SchedSetaffinity(0, &was) == nil && restored }()
	}
	if c.FixedLayout {
		if was, ok := fixLayout(); ok {
			defer func() { restored = setPersonality(was) && restored }()
		}
	}
	child, err = t.start(c)
	return child, restored, err
}

// pin moves this thread to the CPUs and returns those that it had.
func pin(cpus []int) (was unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return was, fmt.Errorf("reading the CPU affinity: %w", err)
	}
	var want unix.CPUSet
	for _, cpu := range cpus {
		want.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return was, fmt.Errorf("pinning to CPUs %v: %w", cpus, err)
	}
	return was, nil
}

// limit sets the child's resource limits from outside (prlimit(2)). They hold
// from here on; a program that has forked already has been in exec until now.
func (c *Child) limit(limits []Limit) error {
	for _, l := range limits {
		err := unix.Prlimit(c.pid, l.Resource, &unix.Rlimit{Cur: l.Value, Max: l.Value}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			c.Signal(syscall.SIGKILL)
			return fmt.Errorf("setting resource limit %d to %d: %w", l.Resource, l.Value, err)
		}
	}
	return nil
}

func (t *Table) start(c Cmd) (*Child, error) {
	sys := &syscall.SysProcAttr{Setsid: true, Pdeathsig: c.DeathSignal}
	c.Isolate.apply(sys)
	files := make([]uintptr, 0, 3+len(c.Files))
	for _, f := range [...]*os.File{c.Stdin, c.Stdout, c.Stderr} {
		if f == nil {
			f = t.null
		}
		files = append(files, f.Fd())
	}
	for _, f := range c.Files {
		files = append(files, f.Fd())
	}

	t.mu.Lock()
	t.begun++
	number := t.begun
	t.inflight[number] = struct{}{}
	t.mu.Unlock()
	pid, err := syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: sys})
	runtime.KeepAlive(c)
	select {
	case t.started <- struct{}{}:
	default:
	}

	child, over := t.enter(c, number, pid, err == nil)
	if err != nil {
		return nil, startError(c, err)
	}
	if over && c.Ended != nil {
		c.Ended()
	}
	return child, nil
}

// enter takes the child of a Start that is over into the table. over: it has ended
// already.
func (t *Table) enter(c Cmd, number uint64, pid int, started bool) (child *Child, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.inflight, number)
	if started {
		child = &Child{table: t, pid: pid, env: c.Env, ended: c.Ended, done: make(chan struct{})}
		r, ended := t.early[pid]
		if over = ended && r.begun >= number; over {
			child.res = r
			close(child.done)
		} else {
			t.children[pid] = child
		}
	}
	t.forget()
	return child, over
}

// forget drops the early exits that no Start under way can be meant by: an
// orphan's number may be a child's one day. The caller holds t.mu.
func (t *Table) forget() {
	if len(t.early) == 0 {
		return
	}
	oldest := t.begun + 1
	for number := range t.inflight {
		oldest = min(oldest, number)
	}
	maps.DeleteFunc(t.early, func(_ int, r result) bool { return r.begun < oldest })
}

// startError says which of the files that an exec needs was the trouble.
func startError(c Cmd, err error) error {
	if c.Dir != "" {
		if st, e := os.Stat(c.Dir); e != nil {
			return fmt.Errorf("starting %s: its working folder: %w", c.Path, e)
		} else if !st.IsDir() {
			return fmt.Errorf("starting %s: its working folder %s is no folder", c.Path, c.Dir)
		}
	}
	if errors.Is(err, syscall.ENOENT) {
		if _, e := os.Stat(c.Path); e == nil {
			return fmt.Errorf("starting %s: the interpreter that it names is not there: %w", c.Path, err)
		}
	}
	return fmt.Errorf("starting %s: %w", c.Path, err)
}

// PID is the child's process number; it may belong to another process once the
// child has ended.
func (c *Child) PID() int { return c.pid }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits for the child's end. It returns ctx.Err() when ctx ends first, and may be
// called any number of times, by several goroutines.
func (c *Child) Wait(ctx context.Context) (job.Exit, error) {
	select {
	case <-c.done:
		return c.exit(), nil
	default:
	}
	select {
	case <-c.done:
		return c.exit(), nil
	case <-ctx.Done():
		return job.Exit{}, ctx.Err()
	}
}

// EndedAt is when the child's end was noticed; valid after Done.
func (c *Child) EndedAt() time.Time { return c.res.at }

func (c *Child) exit() job.Exit {
	e := job.Exit{
		User:   time.Duration(c.res.usage.Utime.Nano()),
		System: time.Duration(c.res.usage.Stime.Nano()),
		MaxRSS: c.res.usage.Maxrss * 1024,
	}
	switch {
	case c.res.status.Signaled():
		e.Signal = int(c.res.status.Signal())
		e.Cause = job.CauseSignal
	case c.res.status.ExitStatus() != 0:
		e.Code = c.res.status.ExitStatus()
		e.Cause = job.CauseExit
	}
	return e
}

// Signal sends sig to the child, never to a process that took its number.
func (c *Child) Signal(sig syscall.Signal) error { return c.kill(c.pid, sig) }

// SignalGroup sends sig to the child's process group: the child and those of
// its descendants that stayed in it.
func (c *Child) SignalGroup(sig syscall.Signal) error { return c.kill(-c.pid, sig) }

func (c *Child) kill(pid int, sig syscall.Signal) error {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	select {
	case <-c.done:
		return nil
	default:
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to process %d: %w", sig, c.pid, err)
	}
	return nil
}
