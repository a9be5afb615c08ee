package bench

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// A Watch counts the living while somebody else brings them up and takes them
// down. It looks rarely before they can all be there, so that it hardly takes
// part in what it measures.
type Watch struct {
	count *counter
	want  int
	began time.Time
	hold  time.Duration

	threads int // of the machine, before
	memory  int64
	cpu     time.Duration

	up     chan struct{} // closed when all were seen alive
	ending chan struct{} // closed when none is to come any more
	quit   chan struct{}
	done   chan struct{} // closed when watch has returned; seen and err are valid then
	once   sync.Once

	seen Seen
	err  error
}

// Seen is what a Watch saw.
type Seen struct {
	Most   int           // alive at once
	Up     time.Duration // until all were seen alive; 0: they never were
	Memory int64         // that the machine had less by then
	CPU    time.Duration // that what is below this process had used by then
	Down   time.Duration // from the last sight of all to the first of none; 0: not seen
}

// How often is looked. A count of thousands takes a good part of a second of CPU
// time; the number of threads is one system call. As long as that is far too
// small, not all can be there; but others start and end threads as well, so now and
// then the living are counted all the same.
const (
	glance  = 20 * time.Millisecond // how often the number of threads is asked for
	rarely  = 20                    // between counts there is a pause so many times as long as one takes,
	often   = 8                     // so many times when there are threads enough,
	closely = 2                     // and so many times once all have been seen
)

// NewWatch begins to look for want living of the prey. Call End.
func NewWatch(prey Prey, want int) (*Watch, error) {
	w := &Watch{
		count: newCounter(prey), want: want, threads: threads(), memory: available("/proc"),
		up: make(chan struct{}), ending: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	looked := time.Now()
	n, err := w.count.count()
	if err != nil {
		return nil, err
	}
	w.hold = 2*time.Second + time.Duration(want)*time.Second/2500 + 10*time.Since(looked)
	if n > 0 {
		return nil, fmt.Errorf("%d of %s %s live before anything is started", n, prey.Name, prey.Word)
	}
	if w.cpu, err = cpuBelow("/proc", os.Getpid()); err != nil {
		return nil, err
	}
	w.began = time.Now()
	go func() {
		defer close(w.done)
		w.err = w.watch()
	}()
	return w, nil
}

// Hold is how long all have to be alive so that they are surely seen: on a machine
// with much to do a count takes its time.
func (w *Watch) Hold() time.Duration { return w.hold }

// WaitUp waits until all have been seen alive at once, or ctx ends.
func (w *Watch) WaitUp(ctx context.Context) error {
	select {
	case <-w.up:
		return nil
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// End waits until none is left, or ctx ends, and returns what was seen. Call it when
// whoever launched them has taken them down. Idempotent.
func (w *Watch) End(ctx context.Context) (Seen, error) {
	w.once.Do(func() {
		close(w.ending)
		select {
		case <-w.done:
		case <-ctx.Done():
			close(w.quit)
			<-w.done
			if w.err == nil {
				w.err = ctx.Err()
			}
		}
	})
	return w.seen, w.err
}

// watch counts until all have been there and are gone.
func (w *Watch) watch() error {
	var all time.Time // the last sight of all
	for {
		began := time.Now()
		n, err := w.count.count()
		if err != nil {
			return err
		}
		now := time.Now()
		w.seen.Most = max(w.seen.Most, n)
		switch {
		case n >= w.want && all.IsZero():
			w.seen.Up = now.Sub(w.began)
			w.seen.Memory = max(0, w.memory-available("/proc"))
			cpu, err := cpuBelow("/proc", os.Getpid())
			if err != nil {
				return err
			}
			w.seen.CPU = cpu - w.cpu
			all = time.Now()
			close(w.up)
		case n >= w.want:
			all = began // they were all there when this count began, or later
		case n == 0 && !all.IsZero():
			w.seen.Down = now.Sub(all)
			return nil
		case n == 0 && w.isEnding():
			return nil
		}
		if !w.pause(now.Sub(began), all.IsZero()) {
			return nil
		}
	}
}

func (w *Watch) isEnding() bool {
	select {
	case <-w.ending:
		return true
	default:
		return false
	}
}

// pause waits before the next count; false: there is to be none.
func (w *Watch) pause(cost time.Duration, waiting bool) bool {
	began := time.Now()
	for {
		select {
		case <-w.quit:
			return false
		case <-time.After(glance):
		}
		enough := threads() >= w.threads+w.want-w.want/10
		since := time.Since(began)
		switch {
		case !waiting || w.isEnding():
			if since >= closely*cost {
				return true
			}
		case enough && since >= often*cost, since >= min(max(time.Second, rarely*cost), w.hold/2):
			return true
		}
	}
}
