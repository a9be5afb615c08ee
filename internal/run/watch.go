package run

import (
	"context"
	"errors"
	"time"

	"muster/internal/engine"
	"muster/internal/rundir"
)

const (
	// lookEvery is how often the journals are read, which costs nobody but the
	// file server anything; askEvery how often engines are asked (a scheduler
	// answers more seldom: engine.Pacer).
	lookEvery = 200 * time.Millisecond
	askEvery  = time.Second
	// pollEvery is how often an engine that has not answered is asked again.
	pollEvery = 2 * time.Second
	// hastyAsks is how often in a row a scheduler is asked sooner than it wants to be, when
	// the run directory tells that something has ended.
	hastyAsks = 10
)

// Watch follows a run until nothing of it is queued or running, telling the
// standing several times a second, and returns the last. When ctx ends first the run goes on, and the
// error is ctx.Err(). A scheduler that does not answer for a while is told of, once, and
// waited for. A run that no node can begin with is cancelled.
func (c *Conductor) Watch(ctx context.Context, r *rundir.Run, tell func(*Standing)) (*Standing, error) {
	subs, err := r.Submissions()
	if err != nil {
		return nil, err
	}
	defer c.listen(r, subs)()
	w := &watch{c: c, run: r, tell: tell}
	for {
		if err := w.follow(ctx); err != nil {
			return nil, err
		}
		s, err := c.Stand(ctx, r, rundir.LoadOptions{Outputs: true, Instances: true, Attempts: true})
		if err != nil {
			return nil, err
		}
		if s.Ended {
			w.remember(s)
			return s, nil
		}
		w.heard(s.Deaf) // or something was submitted meanwhile
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// watch is a run that is being watched.
type watch struct {
	c       *Conductor
	run     *rundir.Run
	tell    func(*Standing)
	silence bool // the engine did not answer the last time
	hasty   int  // how often it was asked sooner than it wants
	given   bool // up: no node can begin
}

// heard says when an engine falls silent, and when it answers again.
func (w *watch) heard(deaf error) {
	switch {
	case deaf != nil && !w.silence:
		w.c.tell("%v; the run goes on without it, and it is asked again", deaf)
	case deaf == nil && w.silence:
		w.c.tell("the engine answers again")
	}
	w.silence = deaf != nil
}

// follow tells how the run stands until all its arrays have ended.
func (w *watch) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	now, err := w.c.arrays(ctx, w.run)
	if err != nil {
		stop()
		return err
	}
	w.heard(now.deaf)
	over := w.c.wait(ctx, now.subs)
	defer func() {
		stop()
		if over != nil {
			<-over // or there is nobody who waits any more
		}
	}()
	tail, err := w.run.Tail(rundir.LoadOptions{Alive: func(s rundir.AgentState) bool { return now.alive(s) }})
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for asked := time.Now(); ; {
		snap, err := tail.Poll(ctx)
		if err != nil {
			return err
		}
		s := now.judge(snap)
		if s.Ended && over == nil {
			return nil
		}
		if w.tell != nil {
			w.tell(s)
		}
		if err := w.giveUp(ctx, now, snap); err != nil {
			return err
		}
		select {
		case err := <-over:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Since(asked) < askEvery {
			continue
		}
		asked = time.Now()
		if w.ending(snap, now) && w.hasty < hastyAsks {
			w.hasty++
			w.c.forget(now.subs)
		}
		if now, err = w.c.arrays(ctx, w.run); err != nil {
			return err
		}
		w.heard(now.deaf)
	}
}

// ending reports whether the run directory tells that the engine's next answer will be
// another one: no agent is left that works, or somebody has cancelled the run.
func (w *watch) ending(snap *rundir.Snapshot, now *arrays) bool {
	begun, working := false, false
	for _, ag := range snap.Agents {
		begun = begun || ag.Lanes > 0
		working = working || !ag.Finished && ag.Alive
	}
	if begun && !working {
		return true
	}
	if working { // what comes after it is new
		w.hasty = 0
	}
	return now.cancel
}

// giveUp cancels a run that no node can begin with: what is still queued would
// only fail alike.
func (w *watch) giveUp(ctx context.Context, now *arrays, snap *rundir.Snapshot) error {
	if w.given || now.unfit(snap) == nil {
		return nil
	}
	w.given, w.hasty = true, 0
	err := w.c.Cancel(ctx, w.run, nil)
	if errors.Is(err, engine.ErrUnavailable) {
		return nil // its elements end by themselves
	}
	return err
}

// remember keeps why no node could begin, since engines forget. Where that cannot be
// written, it has at least been said.
func (w *watch) remember(s *Standing) {
	if s.Unfit == nil {
		return
	}
	if err := w.run.Unfit(s.Unfit.Generation, s.Unfit.Why+"; "+s.Unfit.Do); err != nil {
		w.c.tell("%v", err)
	}
}

// forget makes the next question about subs go to the engines themselves.
func (c *Conductor) forget(subs []rundir.Submission) {
	for _, s := range subs {
		if p, ok := c.Engines[s.Engine].(*engine.Pacer); ok {
			p.Forget()
		}
	}
}

// wait waits for the end of the arrays where their engines can tell it at once, and
// sends it to the channel, which it then closes; nil: they cannot.
func (c *Conductor) wait(ctx context.Context, subs []rundir.Submission) <-chan error {
	byWaiter := map[engine.Waiter][]engine.ID{}
	for _, s := range subs {
		if len(s.IDs) == 0 {
			continue
		}
		w, can := c.Engines[s.Engine].(engine.Waiter)
		if !can {
			return nil
		}
		byWaiter[w] = append(byWaiter[w], engine.ID(s.IDs[0]))
	}
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		for w, ids := range byWaiter {
			if err := w.Wait(ctx, ids...); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	return ended
}
