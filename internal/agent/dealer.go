package agent

import (
	"context"
	"sync"
	"time"

	"muster/internal/rundir"
)

// dealer gives the agent's queue chunks of the pool that the agents of a
// generation share (--distribution dynamic). It claims a chunk when the lanes are about
// to run out of work, so an agent holds little that others could do.
//
//	free ─▶ claimed ─▶ dealt to the queue ─▶ every task has ended
//	          ▲                                   (see orphans.go)
//	orphaned ─┘ its owner is gone: claimed again, as the next attempt
type dealer struct {
	a        *agent
	claims   *rundir.Claims
	patience time.Duration // with an owner that gives no sign of life
	chunks   []span        // chunk k is chunks[k−1]
	used     bool          // no chunk is free any more
	first    func(task int) (done bool, attempts int)

	pace  pace
	lease lease
	look  lookout
}

// span is a chunk: its calls in the pool, first up to, without, end.
type span struct{ first, end int }

// claimAgain is how soon a claim is tried again after an error.
const claimAgain = time.Second

// newDealer makes the dealer of an agent. first tells of tasks as they stood when the agent
// began; that is enough for chunks that nobody had before.
func newDealer(a *agent, first func(task int) (bool, int)) *dealer {
	d := &dealer{a: a, claims: a.run.NewClaims(a.journal.ID(), rundir.ClaimOptions{}), patience: a.Patience, first: first}
	if d.patience <= 0 {
		d.patience = rundir.HeartPatience
	}
	at := 0
	for _, n := range a.share.Chunks {
		d.chunks = append(d.chunks, span{at, at + n})
		at += n
	}
	d.lease.mine = map[int]int{}
	d.look.init(d)
	return d
}

// run deals chunks until the queue is stopped or ctx ends, or until there are none left
// that this agent could ever get: then it closes the queue.
func (d *dealer) run(ctx context.Context) {
	if d == nil {
		return
	}
	var guard sync.WaitGroup
	defer guard.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	guard.Go(func() { d.guard(ctx) })
	told := false
	for d.await(ctx) {
		began := time.Now()
		found, err := d.next(ctx)
		switch {
		case err != nil:
			if !told {
				d.a.note("no work can be claimed, and is tried again: %s", firstLine(err))
			}
			told = true
			if !sleep(ctx, claimAgain) {
				return
			}
		case found:
			told = false
			d.pace.claimed(time.Since(began))
		default:
			found, over := d.adopt(ctx)
			if over {
				d.a.queue.close()
			}
			if !found {
				return
			}
		}
	}
}

// await waits until the queue has need of a chunk. It reports false when it never
// will again.
func (d *dealer) await(ctx context.Context) bool {
	for {
		if ctx.Err() != nil || d.a.queue.stopped() != "" {
			return false
		}
		ready, _, hungry := d.a.queue.stock()
		if hungry || !d.used && ready < d.pace.reserve(d.a.share.Lanes) {
			return true
		}
		select {
		case <-d.a.queue.hunger:
		case <-ctx.Done():
		}
	}
}

// next claims a chunk that nobody ever had, and deals it. Agents look at different places
// among the first free ones, so that they seldom want the same.
func (d *dealer) next(ctx context.Context) (found bool, err error) {
	if d.used {
		return false, nil
	}
	if d.a.spec.MaxFails > 0 {
		if _, err := d.look.poll(ctx); err != nil {
			return false, err
		}
		if d.a.queue.stopped() != "" {
			return false, nil
		}
	}
	for {
		taken, err := d.claims.List()
		if err != nil {
			return false, err
		}
		var free []int
		for k := 1; k <= len(d.chunks) && len(free) < d.a.share.Elements; k++ {
			if taken[k] == 0 {
				free = append(free, k)
			}
		}
		if len(free) == 0 {
			d.used = true
			return false, nil
		}
		k := free[(d.a.Element-1)%len(free)]
		mine, err := d.claims.Take(k, 1)
		if err != nil {
			return false, err
		}
		if mine {
			d.deal(k, 1, d.first)
			return true, nil
		}
	}
}

// deal gives the queue what is to be done of a chunk. Tasks that were cancelled
// meanwhile are told of: nobody else does.
func (d *dealer) deal(chunk, attempt int, status func(task int) (done bool, attempts int)) {
	d.lease.add(chunk, attempt)
	s := d.chunks[chunk-1]
	var calls []*call
	for n := s.first; n < s.end; n++ {
		c := &call{number: n}
		for _, t := range d.a.share.Calls[n] {
			if done, attempts := status(t); !done {
				c.tasks, c.attempt = append(c.tasks, t), append(c.attempt, attempts+1)
			}
		}
		if len(c.tasks) > 0 {
			calls = append(calls, c)
		}
	}
	for _, t := range d.a.queue.add(calls) {
		d.a.tellCancelled(t)
	}
}

// did tells how long a call took.
func (d *dealer) did(o *outcome) {
	if d != nil && !o.never {
		d.pace.called(o.ended - o.began)
	}
}

// pace is how long claims and calls take, as a moving mean.
type pace struct {
	mu          sync.Mutex
	claim, call time.Duration
}

func (p *pace) claimed(took time.Duration) { p.note(&p.claim, took) }
func (p *pace) called(took time.Duration)  { p.note(&p.call, took) }

func (p *pace) note(mean *time.Duration, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *mean == 0 {
		*mean = took
	}
	*mean += (took - *mean) / 8
}

// reserve is below how many waiting calls the next chunk is claimed, so that it is there
// before a lane has nothing to do: as many as all lanes do in the time of two
// claims. Of long calls that is none: a lane that waits for a claim loses next to nothing by it, and
// a call that waits behind a long one could have run elsewhere.
func (p *pace) reserve(lanes int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call <= 0 {
		return 0
	}
	return int(min(int64(2*lanes)*int64(p.claim)/int64(p.call), int64(4*lanes)))
}

// sleep waits; false: ctx has ended before.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
