package agent

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/rundir"
)

// How long things may take.
const (
	grace      = 5 * time.Second       // between asking a program to end and ending it
	pumpEvery  = time.Second           // how often the output of a running program is carried over
	floodEvery = 50 * time.Millisecond // the same at the beginning, and once there is more of it than is kept
	maxBoots   = 3                     // boot failures in a row after which a lane gives up
	maxLost    = 3                     // attempts that may be lost with their instance
)

// lane is one of the agent's parallel places. It runs one call at a time.
type lane struct {
	a     *agent
	n     int
	cpus  []int
	slot  *slot
	out   *capture
	errs  *capture
	ear   *ear // at out
	boots int  // that failed in a row
}

func newLane(a *agent, n int) *lane {
	l := &lane{a: a, n: n}
	cpus := cpusAllowed() // what the scheduler gave, where it binds jobs to CPUs
	if a.share.Threads > 0 || a.pins(len(cpus)) {
		l.cpus = plan.GroupCPUs(cpus, n, a.share.Lanes, a.share.PerLane, a.share.Threads)
	}
	if want := a.share.Lanes * a.share.Threads; want > len(cpus) && n == 0 {
		a.note("%s gives this job %d CPUs, and %d lanes of %d threads want %d: lanes are not pinned, and share them",
			a.journal.Start().Host, len(cpus), a.share.Lanes, a.share.Threads, want)
	}
	l.slot = a.shelf.slotOf(n, l.cpus)
	return l
}

// pins reports whether lanes are kept to their part of the CPUs without having
// been asked for: where each has one, and instances are not shared.
func (a *agent) pins(cpus int) bool {
	return a.traits.Pin && a.spec.Isolation != job.IsolateNode && a.share.Lanes == cpus*max(a.share.PerLane, 1)
}

// run takes calls until there are none.
func (l *lane) run(ctx context.Context) (err error) {
	name := filepath.Join(l.a.Scratch, "lane"+strconv.Itoa(l.n))
	if l.out, err = newCapture(name+".out", 1, l.a); err != nil {
		return err
	}
	defer l.out.close()
	if l.errs, err = newCapture(name+".err", 2, l.a); err != nil {
		return err
	}
	defer l.errs.close()
	l.ear = l.a.words.at(l.out.f)
	defer func() { err = errors.Join(err, l.a.shelf.release(context.WithoutCancel(ctx), l.slot)) }()
	for {
		if !l.a.healthy(ctx) || !l.a.pause.wait(ctx) {
			return nil
		}
		c := l.a.queue.next(ctx)
		if c == nil {
			return nil
		}
		if !l.a.time.fits(time.Now(), len(c.tasks)) {
			l.a.queue.stop(outOfTime)
			l.a.unfinished.Store(true)
			l.a.queue.finish()
			return nil
		}
		l.do(ctx, c)
	}
}

// healthy waits while the run directory takes no records: what would be started
// now could not be told of. It reports false when ctx has ended.
func (a *agent) healthy(ctx context.Context) bool {
	for a.journal.Health() != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
	return ctx.Err() == nil
}

// do makes one attempt at a call and hands its outcome on.
func (l *lane) do(ctx context.Context, c *call) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.a.dealer.confirm()
	l.a.enter(l.n, c, cancel)
	o := l.attempt(ctx, c)
	l.a.leave(l.n, c)
	l.a.dealer.did(o)
	if o.exit.Cause == job.CauseBoot {
		if l.boots++; l.boots >= maxBoots {
			l.a.queue.stop("instances do not start here: " + o.exit.Detail)
		}
	} else {
		l.boots = 0
	}
	l.a.publish.hand(o)
}

func (a *agent) enter(lane int, c *call, cancel context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range c.tasks {
		a.running[t] = cancel
	}
	a.calls[lane] = time.Now()
	// It may have been cancelled between the queue and here.
	switch one, all := a.queue.ending(c); {
	case all != nil:
		cancel(all)
	case one:
		cancel(errTaskCancelled)
	}
}

func (a *agent) leave(lane int, c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range c.tasks {
		delete(a.running, t)
	}
	a.calls[lane] = time.Time{}
}

// outcome is what an attempt at a call came to, before its outputs are judged.
type outcome struct {
	call         *call
	lane         int
	instance     string
	began, ended time.Duration
	exit         job.Exit
	work         string // private work folder, or ""
	counted      bool   // as failed, for --max-fails
	stopped      bool   // its end was not its task's doing nor its user's: whoever goes on with the share runs it again
	never        bool   // it was cancelled before anything was started: no attempt was made
	single       bool   // it was cancelled because of one of its tasks, the others did not want to end
}

func (l *lane) attempt(ctx context.Context, c *call) *outcome {
	o := &outcome{call: c, lane: l.n, began: l.a.journal.Now()}
	defer func() {
		cause := context.Cause(ctx)
		o.single = errors.Is(cause, errTaskCancelled)
		o.stopped = cause != nil && !o.single && !errors.Is(cause, errRunCancelled)
	}()
	if !l.a.pause.wait(ctx) {
		o.never = true
		return o
	}
	inst, err := l.instance(ctx, c)
	if err != nil {
		o.ended = l.a.journal.Now()
		if ctx.Err() != nil {
			o.never = true
			return o
		}
		l.started(o)
		o.exit = job.Exit{Cause: job.CauseBoot, Detail: firstLine(err)}
		return o
	}
	o.instance = inst.id
	l.execute(ctx, o, inst)
	o.ended = max(o.ended, o.began)
	if l.a.spec.Isolation == job.IsolateTask {
		if err := l.a.shelf.discard(context.WithoutCancel(ctx), inst, l.n); err != nil {
			l.a.note("%v", err)
		}
	}
	return o
}

// instance gives the call the instance that isolation demands.
func (l *lane) instance(ctx context.Context, c *call) (*instance, error) {
	if l.a.spec.Isolation == job.IsolateTask {
		name := "task" + strconv.Itoa(c.tasks[0]) + "_" + strconv.Itoa(c.attempt[0])
		return l.a.shelf.open(ctx, name, l.n, l.cpus)
	}
	return l.a.shelf.get(ctx, l.slot)
}

// started journals that an attempt at each task of the call begins.
func (l *lane) started(o *outcome) {
	for i, t := range o.call.tasks {
		err := l.a.journal.Append(rundir.Record{Kind: rundir.KindStart, At: o.began, Start: &rundir.TaskStart{
			Task: t, Attempt: o.call.attempt[i], Lane: l.n, Instance: o.instance,
		}})
		if err != nil {
			l.a.Log.Error("writing a start", "err", err)
		}
	}
}

// execute runs the program of o's call in inst, to its end.
func (l *lane) execute(ctx context.Context, o *outcome, inst *instance) {
	a, c := l.a, o.call
	o.began = a.journal.Now()
	l.started(o)
	fail := func(cause job.Cause, err error) {
		o.ended = a.journal.Now()
		o.exit = job.Exit{Cause: cause, Detail: firstLine(err)}
	}
	cmd, err := l.command(o, inst)
	if err != nil {
		if errors.Is(err, errInputGone) {
			fail(job.CauseInput, err)
		} else {
			fail(job.CauseStart, err)
		}
		return
	}
	defer cmd.close()
	mark := a.taskMark(c)
	o.began = a.journal.Now()
	l.ear.listen(c.tasks[0])
	p, err := a.start(ctx, inst, cmd.Command)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			fail(job.CauseCancelled, errors.New("cancelled before it was started"))
		case errors.Is(err, guest.ErrDead):
			fail(job.CauseInstance, err)
		default:
			fail(job.CauseStart, err)
		}
		return
	}
	a.timing.programStarted()
	o.exit = l.await(ctx, p, c)
	l.ear.end()
	o.ended = a.journal.Now()
	if err := a.sweep(context.WithoutCancel(ctx), inst, mark, p.PID()); err != nil {
		a.note("after %s: %v", a.label(c), err)
	}
	l.carry(c)
	l.out.reset()
	l.errs.reset()
	for i, t := range c.tasks {
		a.stream.Finish(t, c.attempt[i])
	}
}

// await waits for the program's end, ends it when its time is over or ctx is,
// and carries its output over meanwhile.
func (l *lane) await(ctx context.Context, p guest.Process, c *call) job.Exit {
	var limit time.Duration // of the time in which programs could run
	if t := l.a.spec.Timeout; t > 0 {
		limit = l.a.pause.running() + t
	}
	for pump := floodEvery; ; pump = min(2*pump, pumpEvery) {
		step := pump
		if ran := l.a.pause.running(); limit > 0 && ran < limit {
			step = min(step, limit-ran)
		}
		wait, done := context.WithTimeout(ctx, step)
		e, err := p.Wait(wait)
		givenUp := wait.Err() != nil
		done()
		switch {
		case err == nil:
			if terminated(e) && told(ctx) {
				return cut(ctx, e)
			}
			return e
		case !givenUp: // no wait would tell
			l.a.note("waiting for the program of %s: %v", l.a.label(c), err)
			e = l.a.endProgram(p)
			e.Cause, e.Detail = job.CauseInternal, "nothing could be learned of its end: "+firstLine(err)
			return e
		case ctx.Err() != nil:
			return cut(ctx, l.a.endProgram(p))
		case limit > 0 && l.a.pause.running() >= limit:
			e = l.a.endProgram(p)
			e.Cause, e.Detail = job.CauseTimeout, "ran longer than "+l.a.spec.Timeout.String()
			return e
		}
		if flood := l.carry(c); flood {
			pump = floodEvery / 2
		}
	}
}

// cut is the end of a program that ctx, which is over, has ended.
func cut(ctx context.Context, e job.Exit) job.Exit { return cutBy(context.Cause(ctx), e) }

// cutBy is the end of a program that was ended because of cause.
func cutBy(cause error, e job.Exit) job.Exit {
	e.Cause, e.Detail = job.CauseCancelled, "cancelled while it was running"
	switch {
	case errors.Is(cause, errTaskCancelled), errors.Is(cause, errRunCancelled):
		e.Detail = cause.Error()
	case errors.Is(cause, errGivenBack):
		e.Cause, e.Detail = job.CauseGivenBack, cause.Error()
	case errors.Is(cause, errSuperseded):
		e.Cause, e.Detail = job.CauseSuperseded, cause.Error()
	}
	return e
}

// terminated reports whether SIGTERM ended a program, or a command of it.
func terminated(e job.Exit) bool {
	return e.Signal == int(syscall.SIGTERM) || e.Code == 128+int(syscall.SIGTERM) || e.Cause == job.CauseInstance
}

// told reports whether the agent has been told to end, or is within a moment. A
// scheduler that cancels an element sends SIGTERM to every process of it at once, so a program may be gone
// before its agent has heard, and has not failed.
func told(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(time.Second):
		return false
	}
}

// start starts a program, as soon as the agent is not suspended.
func (a *agent) start(ctx context.Context, inst guest.Instance, c guest.Command) (guest.Process, error) {
	if !a.pause.enter(ctx) {
		return nil, ctx.Err()
	}
	defer a.pause.leave()
	return inst.Start(ctx, c)
}

// endProgram asks a program to end, and ends it by force after the grace.
func (a *agent) endProgram(p guest.Process) job.Exit {
	ctx, done := context.WithTimeout(context.Background(), grace)
	defer done()
	if a.pause.isOn() {
		done() // it cannot hear
	}
	if err := p.Terminate(ctx); err != nil {
		a.Log.Warn("asking a program to end", "err", err)
	} else if e, err := p.Wait(ctx); err == nil {
		return e
	}
	if err := p.Control(context.Background(), job.OpCancel); err != nil {
		a.Log.Error("ending a program", "err", err)
	}
	e, err := p.Wait(context.Background())
	if err != nil {
		a.Log.Error("waiting for a program", "err", err)
	}
	return e
}

// carry brings what the program has written so far into the agent's stream, on
// the account of the call's first task. It reports whether there is more than is kept.
func (l *lane) carry(c *call) (flood bool) {
	for _, f := range []*capture{l.out, l.errs} {
		if err := f.pump(c.tasks[0], c.attempt[0]); err != nil {
			l.a.Log.Error("keeping a program's output", "err", err)
		}
		flood = flood || f.flooded()
	}
	return flood
}
