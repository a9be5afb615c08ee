package proc

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Rights that a child is not to have are taken from the bounding set (capabilities(7)) of the
// thread that starts it, and never come back. Such a thread is made once and
// kept for further starts: a new one for each costs more than the rest of the start, and the children of
// a thread that has ended go to the first one, where orphans are looked for.

// spares is how many such threads are kept when nobody needs them. Go starts one process at
// a time.
const spares = 2

// lowered is the threads that have given up rights, by the rights.
type lowered struct {
	mu     sync.Mutex
	idle   map[string][]chan errand
	closed bool
	ended  sync.WaitGroup
}

// errand is what such a thread does; its argument says whether giving up rights failed, and it
// reports whether the thread is as it was.
type errand func(error) (unspoiled bool)

// do runs f on a thread that has given up those rights.
func (l *lowered) do(rights []int, f errand) {
	key := fmt.Sprint(rights)
	l.mu.Lock()
	var jobs chan errand
	if idle := l.idle[key]; len(idle) > 0 {
		jobs = idle[len(idle)-1]
		l.idle[key] = idle[:len(idle)-1]
	} else {
		jobs = make(chan errand, 1)
		l.ended.Go(func() { l.work(key, slices.Clone(rights), jobs) })
	}
	l.mu.Unlock()
	done := make(chan struct{})
	jobs <- func(err error) bool {
		defer close(done)
		return f(err)
	}
	<-done
}

// work is the life of such a thread. It is never unlocked, so it ends with this goroutine.
func (l *lowered) work(key string, rights []int, jobs chan errand) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// Not the first thread, which outlives its goroutine and gets the orphans. While this
		// goroutine waits, nobody else has it.
		var other sync.WaitGroup
		other.Go(func() { l.work(key, rights, jobs) })
		other.Wait()
		runtime.UnlockOSThread()
		return
	}
	err := giveUp(rights)
	for do := range jobs {
		if unspoiled := do(err); !unspoiled || err != nil || !l.keep(key, jobs) {
			return
		}
	}
}

// keep makes a thread one of those that wait for work, unless there are enough.
func (l *lowered) keep(key string, jobs chan errand) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.idle[key]) >= spares {
		return false
	}
	if l.idle == nil {
		l.idle = map[string][]chan errand{}
	}
	l.idle[key] = append(l.idle[key], jobs)
	return true
}

// close ends the threads.
func (l *lowered) close() {
	l.mu.Lock()
	l.closed = true
	for _, idle := range l.idle {
		for _, jobs := range idle {
			close(jobs)
		}
	}
	l.idle = nil
	l.mu.Unlock()
	l.ended.Wait()
}

// giveUp takes rights from this thread's bounding set, out of which an exec takes its rights.
func giveUp(rights []int) error {
	for _, r := range rights {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(r), 0, 0, 0)
		// A root without CAP_SETPCAP, as in some containers, has to do as it is.
		if err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("giving up rights: %w", err)
		}
	}
	return nil
}
