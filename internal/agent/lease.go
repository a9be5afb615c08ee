package agent

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lease is what an agent knows of its claims. A claim holds as long as the
// agent's heart beats. One that was stopped, or cut off from the run directory, may
// find that others have taken a chunk of its own: then they have settled what it
// had left, the folder of its unpublished outputs is gone, and it ends.
type lease struct {
	mu    sync.Mutex
	mine  map[int]int // attempt by which this agent has claimed a chunk
	doubt time.Time   // until when claims are looked at, since the heart was silent for long
	lost  bool        // a chunk is another's
}

func (l *lease) add(chunk, attempt int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine[chunk] = attempt
}

// has tells the attempt by which this agent has claimed a chunk; 0: it has not.
func (l *lease) has(chunk int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine[chunk]
}

// held reports whether the agent still holds what it has claimed. It costs
// nothing while the heart beats. After a silence that others may have taken for the agent's
// end it looks, for as long as they may act upon that.
func (d *dealer) held() bool {
	l := &d.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return false
	}
	if d.a.heart.Gap() > d.patience/2 {
		l.doubt = time.Now().Add(2 * d.patience)
	}
	if time.Now().After(l.doubt) {
		return true
	}
	attempts, err := d.claims.List()
	if err != nil {
		d.a.Log.Warn("looking at this agent's claims", "err", err)
		return true // a link keeps stale outputs off all the same
	}
	for chunk, mine := range l.mine {
		if attempts[chunk] > mine {
			l.lost = true
			return false
		}
	}
	return true
}

// guardEvery is how often an agent makes sure that it holds its claims.
const guardEvery = 5 * time.Second

// confirm makes sure that the agent holds its claims. If it does not, it leaves
// everything to those who have taken it over: what runs is ended, and nothing is published.
func (d *dealer) confirm() bool {
	if d == nil || d.held() {
		return true
	}
	d.a.superseded.Store(true)
	d.a.queue.cancel(fmt.Sprintf("it gave no sign of life for more than %v, and others have taken its work over", d.patience/2), errTaken)
	d.a.endCalls(errTaken)
	return false
}

// guard confirms from time to time, until ctx ends.
func (d *dealer) guard(ctx context.Context) {
	for d.confirm() && sleep(ctx, guardEvery) {
	}
}
