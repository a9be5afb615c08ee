package local

import (
	"context"
	"syscall"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// farPoll is how often an array of another host is looked at.
const farPoll = 2 * time.Second

// waitAll returns when all the arrays have ended or are gone. The order does not
// matter, since all must have. Elements whose supervisor was killed were told to end when
// it died; after killWait they are made to.
func waitAll(ctx context.Context, base string, ids []engine.ID, killWait time.Duration) error {
	for _, id := range ids {
		if err := waitOne(ctx, base, id, killWait); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func waitOne(ctx context.Context, base string, id engine.ID, killWait time.Duration) error {
	for {
		r, err := report(base, id)
		if err != nil || r.State.Ended() {
			return err
		}
		dir := dirOf(base, numberOf(id))
		h, err := readHead(dir)
		if err != nil || h == nil {
			return err
		}
		me, err := here()
		if err != nil {
			return err
		}
		if me.near(h.Supervisor) {
			// The supervisor ends right after its array's last event.
			if err = h.Supervisor.wait(ctx); err == nil {
				err = waitOrphans(ctx, dir, killWait)
			}
		} else {
			err = sleep(ctx, farPoll)
		}
		if err != nil {
			return err
		}
	}
}

// waitOrphans waits for the elements that a dead supervisor has left.
func waitOrphans(ctx context.Context, dir string, killWait time.Duration) error {
	_, events, err := load(dir)
	if err != nil {
		return err
	}
	grace, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	for _, p := range orphans(events) {
		if p.wait(grace) != nil && ctx.Err() == nil {
			err = p.signal(syscall.SIGKILL)
		}
		if err == nil {
			err = p.wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// orphans are the elements whose start is recorded and whose end is not.
func orphans(events []event) map[int]process {
	out := map[int]process{}
	for _, e := range events {
		switch {
		case e.State == job.Running:
			out[e.Element] = e.Process
		case e.State.Ended() && e.Element > 0:
			delete(out, e.Element)
		}
	}
	return out
}
