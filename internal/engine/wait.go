package engine

import (
	"context"
	"time"
)

// Waiter is the ability to tell at once when arrays have ended. Few schedulers
// have it; Wait works with any engine.
type Waiter interface {
	// Wait returns nil when all the arrays have ended or are gone, and ctx.Err()
	// when ctx ends first.
	Wait(ctx context.Context, ids ...ID) error
}

// Wait waits until all the arrays have ended or are gone: promptly where the
// engine can tell, else by asking it every poll.
func Wait(ctx context.Context, e Engine, poll time.Duration, ids ...ID) error {
	if w, ok := e.(Waiter); ok {
		return w.Wait(ctx, ids...)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		reports, err := e.Status(ctx, ids...)
		if err != nil {
			return err
		}
		if allEnded(reports) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func allEnded(reports []Report) bool {
	for _, r := range reports {
		if !r.State.Ended() {
			return false
		}
	}
	return true
}
