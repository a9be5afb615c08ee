package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/internal/clock"
	"muster/internal/rundir"
)

// comparing bounds how long a submission is held up by comparing clocks.
const comparing = 2 * time.Second

// hostClock is what nodes' clocks are compared with. The local engine's nodes
// are this machine.
func hostClock(ctx context.Context, r *rundir.Run, engine string) clock.Host {
	h := clock.Host{Boot: clock.BootID()}
	if engine != "local" {
		ctx, done := context.WithTimeout(ctx, comparing)
		defer done()
		h.Files = clock.ThroughFiles(ctx, r.StampFolder(), rundir.StampName("host"), time.Now)
	}
	return h
}

// listen tells agents the time and stamps what they tell, as long as this process
// follows the run, where --timing socket asks for it. What goes wrong is told, and no
// more: agents fall back to files. stop ends it; nothing is left then.
func (c *Conductor) listen(r *rundir.Run, subs []rundir.Submission) (stop func()) {
	stop = func() {}
	spec, err := r.Spec()
	if err != nil || spec.Timing != string(clock.Socket) || len(subs) == 0 {
		return stop
	}
	if host := subs[len(subs)-1].Host; host != hostname() {
		// This clock is not the one that times are brought to.
		c.tell("run %d was submitted on %s: agents compare their clocks with that one through files", r.Number, host)
		return stop
	}
	l, log, err := offer(r)
	if err != nil {
		c.tell("%v; agents compare their clocks through files", err)
		return stop
	}
	return func() {
		if err := errors.Join(l.Close(), log.Close()); err != nil {
			c.tell("%v", fmt.Errorf("listening for agents: %w", err))
		}
	}
}

func offer(r *rundir.Run) (*clock.Listener, *rundir.ClockLog, error) {
	log, err := r.NewClockLog()
	if err != nil {
		return nil, nil, err
	}
	l, err := clock.Listen(time.Now, log.Write)
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	if err := log.Offer(l.Offer()); err != nil {
		return nil, nil, errors.Join(err, l.Close(), log.Close())
	}
	return l, log, nil
}
