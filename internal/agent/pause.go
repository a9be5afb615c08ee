package agent

import (
	"context"
	"sync"
	"time"
)

// pause holds the lanes back while the agent is suspended, and counts the time in
// which programs could run: not what passes meanwhile, nor what passes while the
// agent itself is stopped with everything else of its job, as schedulers do.
type pause struct {
	mu       sync.Mutex
	on       bool
	off      chan struct{} // closed when it is not on
	starting int           // programs that are being started
	started  *sync.Cond    // one of them has been
	ran      time.Duration // up to last
	last     time.Time
}

// mostGap is the longest time between two looks at the clock that counts as time
// in which programs ran. The agent looks more often: a longer gap is one in which it was stopped.
const mostGap = 3 * time.Second

func newPause() *pause {
	p := &pause{off: make(chan struct{}), last: time.Now()}
	p.started = sync.NewCond(&p.mu)
	close(p.off)
	return p
}

// set suspends, or ends that. When it returns, programs that were being started
// have been.
func (p *pause) set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count()
	switch {
	case on && !p.on:
		p.off = make(chan struct{})
	case !on && p.on:
		close(p.off)
	}
	p.on = on
	for p.on && p.starting > 0 {
		p.started.Wait()
	}
}

// isOn reports whether the agent is suspended.
func (p *pause) isOn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.on
}

// wait waits until the agent is not suspended. It reports false when ctx ended first.
func (p *pause) wait(ctx context.Context) bool {
	p.mu.Lock()
	off := p.off
	p.mu.Unlock()
	select {
	case <-off:
		return ctx.Err() == nil
	default:
	}
	select {
	case <-off:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter waits likewise, and keeps set from returning until leave: a program may be
// started in between. It reports false when ctx ended first; then leave is not called.
func (p *pause) enter(ctx context.Context) bool {
	for {
		if !p.wait(ctx) {
			return false
		}
		if p.begin() {
			return true
		}
	}
}

func (p *pause) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		return false
	}
	p.starting++
	return true
}

func (p *pause) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	p.started.Broadcast()
}

// running is the time in which programs could run since the agent began. Somebody
// has to ask more often than every mostGap.
func (p *pause) running() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count()
}

func (p *pause) count() time.Duration {
	now := time.Now()
	if !p.on {
		p.ran += min(now.Sub(p.last), mostGap)
	}
	p.last = now
	return p.ran
}
