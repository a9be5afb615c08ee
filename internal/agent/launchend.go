package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/job"
	"muster/internal/rundir"
)

const (
	tendEvery    = 50 * time.Millisecond // how often a launch looks for what nobody tells
	timeoutEvery = time.Second
	killLimit    = 30 * time.Second // for everything to be gone that was killed
)

// tend sees to what happens to programs once they are started.
func (l *launching) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var timeouts, streams time.Time // when to look next
	for {
		select {
		case <-l.kick:
			l.concludeGone(ctx)
			continue
		case <-tick.C:
		case <-l.quit:
			return
		}
		now := time.Now()
		l.concludeGone(ctx)
		l.lookReady(now)
		if now.After(timeouts) {
			timeouts = now.Add(timeoutEvery)
			l.lookTimeouts()
		}
		if now.After(streams) {
			l.carryAll()
			streams = time.Now().Add(max(carryEvery, 20*time.Since(now)))
		}
		l.advance(ctx)
	}
}

// concludeGone concludes the programs that have ended.
func (l *launching) concludeGone(ctx context.Context) {
	l.mu.Lock()
	gone := append(l.doubtful, l.gone...)
	l.gone, l.doubtful = nil, nil
	l.mu.Unlock()
	for _, p := range gone {
		l.conclude(ctx, p)
	}
}

// conclude brings a program that has ended to its end.
func (l *launching) conclude(ctx context.Context, p *program) {
	e, err := p.proc.Wait(context.Background())
	if err != nil {
		e.Cause, e.Detail = job.CauseInternal, "nothing could be learned of its end: "+firstLine(err)
	}
	l.mu.Lock()
	down, why, cause, up := l.down && !p.early, l.why, p.cause, p.up
	l.mu.Unlock()
	if cause == nil && down {
		cause = why
	}
	switch {
	case down && cause == nil && up:
		e = job.Exit{User: e.User, System: e.System, MaxRSS: e.MaxRSS, Detail: "alive until it was taken down"}
	case down && cause == nil, errors.Is(cause, errNotReady):
		e.Cause, e.Detail = job.CauseNotReady, l.ready.missed(l.want.ReadyTimeout)
	case errors.Is(cause, errTimeout):
		e.Cause, e.Detail = job.CauseTimeout, "ran longer than "+l.a.spec.Timeout.String()
	case errors.Is(cause, errEnded):
		e.Cause, e.Detail = job.CauseCancelled, cause.Error()
	case cause != nil:
		e = cutBy(cause, e)
	case terminated(e) && l.doubts(ctx, p):
		return
	case e.OK() && !up && l.ready.watches():
		e.Cause, e.Detail = job.CauseNotReady, "it ended with code 0 before it was alive: "+l.ready.sign()
	}
	l.end(p, e)
}

// doubts puts a program aside that a SIGTERM has ended: a scheduler that cancels an element sends one to
// every process of it, and the agent may hear of its own in a moment (see told).
func (l *launching) doubts(ctx context.Context, p *program) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.doubt.IsZero() {
		p.doubt = time.Now()
	}
	if ctx.Err() != nil { // outlive is about to say so
		p.early = false
	} else if time.Since(p.doubt) > time.Second {
		return false
	}
	l.doubtful = append(l.doubtful, p)
	return true
}

// end journals how a program has ended, and gives it back.
func (l *launching) end(p *program, e job.Exit) {
	a := l.a
	if p.proc != nil {
		l.carryLast(p)
	}
	state := stateOf(e)
	l.mu.Lock()
	again := state == job.Lost && e.Cause == job.CauseInstance && p.call.lost < l.want.Restart && !l.finished
	stopped := p.cause == nil && l.finished && l.why != nil && !errors.Is(l.why, errRunCancelled) && !errors.Is(l.why, errEnded)
	l.mu.Unlock()
	end := &rundir.TaskEnd{
		Task: p.task(), Attempt: p.attempt(), Lane: -1, Instance: p.instanceID(),
		Began: p.began, Ended: a.journal.Now(), State: state, Exit: e, Final: !again,
	}
	if stopped && (state == job.Lost || state == job.Cancelled) {
		end.Final = false // whoever goes on with the share starts it again
		a.unfinished.Store(true)
	}
	l.commit(end)
	l.leave(p, end)
	l.release(p)
	if again {
		for _, t := range a.queue.retry(&call{number: p.call.number, tasks: p.call.tasks, attempt: p.call.attempt, lost: p.call.lost + 1}) {
			a.tellCancelled(t)
		}
	} else {
		a.queue.finish()
	}
	poke(l.ended)
}

func (l *launching) commit(end *rundir.TaskEnd) {
	a := l.a
	a.journal.Commit(rundir.Record{Kind: rundir.KindEnd, At: a.journal.Now(), End: end}, func(err error) {
		if err != nil {
			a.Log.Error("the end of a program could not be recorded", "task", end.Task, "err", err)
		}
	})
}

// leave takes a program out of the books.
func (l *launching) leave(p *program, end *rundir.TaskEnd) {
	l.mu.Lock()
	delete(l.progs, p.task())
	if p.up {
		l.alive--
	}
	if !l.down { // what is taken down makes room for the next wave all at once
		defer l.gate.Gone(p.up)
	}
	switch settled := end.Final || l.finished; {
	case settled && !p.up:
		l.missing--
	case !settled && p.up:
		l.missing++ // it is to come up again
	}
	if end.Final && end.State.Failure() {
		l.fails++
	}
	fails := l.fails
	l.mu.Unlock()
	if most := l.a.spec.MaxFails; most > 0 && fails >= most {
		l.a.queue.stop(fmt.Sprintf("max-fails: %d programs have failed", fails))
		l.finish(errTooMany)
	}
}

// never gives back a program of which no attempt was made.
func (l *launching) never(p *program) {
	a := l.a
	l.mu.Lock()
	delete(l.progs, p.task())
	l.missing--
	cancelled := l.why == nil || errors.Is(l.why, errRunCancelled)
	l.mu.Unlock()
	switch {
	case a.queue.isDropped(p.task()):
		a.tellCancelled(p.task())
	case !cancelled:
		a.unfinished.Store(true)
	}
	a.queue.finish()
	poke(l.ended)
}

// release lets go of what a program had: the work folder, and an instance of its own. In a
// take-down all that is done for all at once.
func (l *launching) release(p *program) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return
	}
	if p.work != "" {
		if err := l.a.works.give(p.work); err != nil {
			l.a.note("removing a work folder: %v", err)
		}
	}
	if p.inst != nil && len(l.a.shelf.shared) == 0 {
		l.closing.Go(func() {
			if err := l.a.shelf.discard(context.Background(), p.inst, -1); err != nil {
				l.a.note("%v", err)
			}
		})
	}
}

// drop ends one program, because its task was cancelled. waiting: it was not given out.
func (l *launching) drop(task int, waiting bool) {
	l.mu.Lock()
	if waiting {
		l.missing--
	}
	p := l.progs[task]
	l.mu.Unlock()
	if p != nil {
		l.fell(p, errTaskCancelled)
	}
}

// fell ends one program, because of cause.
func (l *launching) fell(p *program, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.gone || p.cause != nil || l.down {
		return
	}
	p.cause = cause
	if !p.started {
		return // whoever starts it looks
	}
	l.felling.Go(func() {
		l.axes <- struct{}{}
		defer func() { <-l.axes }()
		l.a.endProgram(p.proc)
	})
}

// lookTimeouts ends the programs that run longer than --timeout allows.
func (l *launching) lookTimeouts() {
	limit := l.a.spec.Timeout
	if limit == 0 {
		return
	}
	ran := l.a.pause.running()
	for _, p := range l.startedPrograms() {
		if ran-p.ran >= limit {
			l.fell(p, errTimeout)
		}
	}
}

// startedPrograms lists the programs that are started and have not ended.
func (l *launching) startedPrograms() []*program {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*program, 0, len(l.progs))
	for _, p := range l.progs {
		if p.started && !p.gone {
			list = append(list, p)
		}
	}
	return list
}

// nextWave takes the programs down that are up, for those that had no room beside them.
func (l *launching) nextWave(ctx context.Context) {
	l.downing.Lock()
	defer l.downing.Unlock()
	if err := l.takeDown(context.WithoutCancel(ctx)); err != nil {
		l.a.note("%v", err)
	}
	l.mu.Lock()
	l.down = false
	finished := l.finished
	l.mu.Unlock()
	if !finished {
		l.gate.Next()
		l.meeting.wave.Store(true)
	}
}

// takeDown ends everything that is left of the launch, with one look at the processes for
// all of them, and not one for each.
func (l *launching) takeDown(ctx context.Context) error {
	a := l.a
	l.step(rundir.StepDown, 0)
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	left := l.startedPrograms()
	if a.traits.Hears && len(left) > 0 && !a.pause.isOn() {
		ask, done := context.WithTimeout(ctx, grace)
		for _, p := range left {
			if err := p.proc.Terminate(ask); err != nil {
				a.Log.Warn("asking a program to end", "err", err)
			}
		}
		l.emptied(ask)
		done()
	}
	limit, done := context.WithTimeout(ctx, killLimit)
	defer done()
	_, err := a.table.KillAll(limit, a.Namespace)
	if err == nil {
		l.emptied(limit)
	}
	for _, p := range l.startedPrograms() {
		l.end(p, job.Exit{Cause: job.CauseInternal, Detail: "its end was not seen"})
	}
	err = errors.Join(err, l.closeInstances(ctx))
	l.step(rundir.StepGone, 0)
	return err
}

// emptied waits until every program is concluded, or ctx has ended.
func (l *launching) emptied(ctx context.Context) {
	for l.living() > 0 {
		select {
		case <-l.ended:
		case <-time.After(tendEvery): // outlive may have been told instead
		case <-ctx.Done():
			return
		}
	}
}

// closeInstances closes what instances are open, many at a time. Their processes are gone.
func (l *launching) closeInstances(ctx context.Context) error {
	if len(l.a.shelf.shared) > 0 {
		return l.a.shelf.close(ctx)
	}
	l.closing.Wait()
	var closing errgroup.Group
	closing.SetLimit(l.a.share.Lanes)
	for _, inst := range l.a.shelf.all() {
		closing.Go(func() error { return l.a.shelf.discard(ctx, inst, -1) })
	}
	return closing.Wait()
}
