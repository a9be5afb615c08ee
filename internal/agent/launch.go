package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/admit"
	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/template"
)

// launching is a launch at work on this node. All programs of the share are to be alive at
// the same time, so no lane limits them: starters only limit how many are on their way.
//
//	waiting ──starter──▶ starting ──ready──▶ alive ──by itself, or taken down──▶ ended
//	   ▲                     │                 │
//	   └── --restart: its instance has died ◀──┘
//
// Nobody waits for a single program. That one has ended is told by the table that collects
// all exits (guest.Command.Ended), and one goroutine (tend) sees to whatever happens to
// programs once they are started. So a program that is alive costs the agent an entry in a
// map, and neither a goroutine nor a descriptor.
type launching struct {
	a       *agent
	want    job.Launch
	streams string   // folder of the files that programs write to
	memory  bool     // which is in memory
	env     []string // what the environments of all programs have in common
	ready   readiness
	free    int64 // memory that was free before the first start; 0: not known

	kick  chan struct{} // a program has ended
	ended chan struct{} // one more has been concluded
	over  chan struct{} // closed by finish
	quit  chan struct{} // ends tend

	felling sync.WaitGroup // programs that are being ended one by one
	axes    chan struct{}  // limits how many of them at a time
	closing sync.WaitGroup // instances whose only program has ended
	gate    *admit.Gate    // what starts have to pass
	usual   atomic.Int64   // nanoseconds until a program runs its own code, a moving average
	downing sync.Mutex     // held by whoever takes programs down

	mu       sync.Mutex
	progs    map[int]*program // given out and not concluded, by task
	gone     []*program       // ended, and not concluded
	doubtful []*program       // ended by a SIGTERM of which the agent may hear in a moment
	missing  int              // programs of the share that are neither alive nor ended for good
	alive    int
	fails    int  // programs that failed for good
	boots    int  // instances in a row that did not come up
	down     bool // everything is being taken down
	finished bool
	refused  bool  // for want of room
	why      error // with finished: why; nil: the hold is over
	stop     context.CancelFunc
	meeting  meeting
}

// program is one that was given out to be started.
type program struct {
	call  *call
	lane  int
	inst  *instance
	proc  guest.Process
	work  string        // private work folder, or ""
	began time.Duration // by the journal's clock
	ran   time.Duration // when it was started, by the clock that stands still while the agent is suspended
	out   [2]written

	// Guarded by launching.mu.
	started bool
	up      bool
	gone    bool
	early   bool      // it had ended before the take-down began
	cause   error     // why it was ended alone; nil: it was not
	doubt   time.Time // since when it is doubtful
}

func (p *program) task() int    { return p.call.tasks[0] }
func (p *program) attempt() int { return p.call.attempt[0] }

// Why a program of a launch is ended before its time.
var (
	errNotReady = errors.New("it was not alive in time")
	errTimeout  = errors.New("it ran longer than allowed")
	errEnded    = errors.New("ended with its launch") // the launch itself could not go on
	errTooMany  = fmt.Errorf("%w: too many programs have failed", errEnded)
	errNoBoot   = fmt.Errorf("%w: instances do not start here", errEnded)
	errNoRoom   = fmt.Errorf("%w: there is not room for all of it", errEnded)
)

func newLaunching(a *agent) (*launching, error) {
	l := &launching{
		a: a, want: *a.spec.Launch, progs: map[int]*program{},
		kick: make(chan struct{}, 1), ended: make(chan struct{}, 1), over: make(chan struct{}), quit: make(chan struct{}),
		axes: make(chan struct{}, 4),
	}
	var err error
	if l.ready, err = newReadiness(l.want); err != nil {
		return nil, err
	}
	l.streams, l.memory = a.streamsDir()
	l.prepareEnv()
	return l, nil
}

// launch is the agent's work when its run is a launch: until all programs have ended, by
// themselves or with the launch.
func (a *agent) launch(ctx context.Context) error {
	l := a.launching
	if err := makeDir(l.streams); err != nil {
		return err
	}
	// What an elder twin has said is not so any more.
	if err := a.run.RetractUp(a.journal.ID()); err != nil {
		a.Log.Warn("a launch begins", "err", err)
	}
	if !l.admit(ctx) {
		return nil
	}
	defer l.gate.Close()
	starting, stop := context.WithCancel(ctx)
	defer stop()
	l.mu.Lock()
	l.stop, l.missing = stop, a.queue.count()
	l.mu.Unlock()
	tended := make(chan struct{})
	go func() {
		defer close(tended)
		l.tend(ctx)
	}()
	var starters errgroup.Group
	for n := range a.share.Lanes {
		starters.Go(func() error { return l.starter(starting, n) })
	}
	err := starters.Wait()
	l.outlive(ctx)
	l.downing.Lock() // a wave may be on its way down
	err = errors.Join(err, l.takeDown(context.WithoutCancel(ctx)))
	l.downing.Unlock()
	close(l.quit)
	<-tended
	l.felling.Wait()
	return err
}

// finish ends the launch on this node, because of why; nil: its hold is over. The first
// word counts.
func (l *launching) finish(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.finished {
		return
	}
	l.finished, l.why = true, why
	close(l.over)
	if l.stop != nil {
		l.stop()
	}
}

// outlive waits until no program is left, or the launch is to end.
func (l *launching) outlive(ctx context.Context) {
	for l.living() > 0 {
		select {
		case <-l.ended:
		case <-l.over:
			return
		case <-ctx.Done():
			l.finish(context.Cause(ctx))
			return
		}
	}
	if ctx.Err() != nil {
		l.finish(context.Cause(ctx))
	}
}

// living is how many programs are given out and not concluded.
func (l *launching) living() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.progs)
}

// starter starts programs, one after the other, until none is left to be started.
func (l *launching) starter(ctx context.Context, lane int) error {
	a := l.a
	for {
		if !a.healthy(ctx) || !a.pause.wait(ctx) {
			return nil
		}
		c := a.queue.next(ctx)
		if c == nil {
			return nil
		}
		if !a.time.fits(time.Now(), 1) {
			a.queue.stop(outOfTime)
			a.unfinished.Store(true)
			a.queue.finish()
			return nil
		}
		p := &program{call: c, lane: lane}
		if !l.pass(ctx) {
			l.never(p)
			return nil
		}
		l.start(ctx, p)
	}
}

// start starts a program, and waits until its own image runs.
func (l *launching) start(ctx context.Context, p *program) {
	a := l.a
	p.began = a.journal.Now()
	if !l.enter(p) {
		l.gate.Gone(false)
		l.never(p)
		return
	}
	inst, err := l.instance(ctx, p)
	if err != nil {
		if ctx.Err() != nil {
			l.gate.Gone(false)
			l.never(p)
			return
		}
		l.journalStart(p)
		l.bootFailed(firstLine(err))
		l.end(p, job.Exit{Cause: job.CauseBoot, Detail: firstLine(err)})
		return
	}
	p.inst = inst
	p.began, p.ran = a.journal.Now(), a.pause.running()
	l.journalStart(p)
	if err := l.exec(ctx, p); err != nil {
		cause := job.CauseStart
		switch {
		case ctx.Err() != nil:
			cause, err = job.CauseCancelled, errors.New("cancelled before it was started")
		case errors.Is(err, guest.ErrDead):
			cause = job.CauseInstance
		}
		l.end(p, job.Exit{Cause: cause, Detail: firstLine(err)})
		return
	}
	l.started(p)
	a.timing.programStarted()
	l.await(ctx, p)
}

// exec starts the program of p in its instance.
func (l *launching) exec(ctx context.Context, p *program) error {
	cmd, err := l.command(p)
	if err != nil {
		return err
	}
	defer cmd.close()
	cmd.Ended = func() { l.hasEnded(p) }
	proc, err := l.a.start(ctx, p.inst, cmd.Command)
	if err != nil {
		return err
	}
	if _, slow := proc.(guest.Readier); !slow && !l.ready.watches() {
		defer l.isUp(p) // although it may have ended by now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p.proc = proc
	return nil
}

// started lets the end of a program count from here on.
func (l *launching) started(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.started = true
	if p.gone {
		l.gone = append(l.gone, p)
		poke(l.kick)
	}
}

// hasEnded is told of a program's end by whoever collects exits.
func (l *launching) hasEnded(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.gone, p.early = true, !l.down
	if p.started {
		l.gone = append(l.gone, p)
		poke(l.kick)
	}
}

// enter takes a program in that is about to be started. It reports false when it has
// been cancelled meanwhile.
func (l *launching) enter(p *program) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progs[p.task()] = p
	// It may have been cancelled between the queue and here.
	switch one, all := l.a.queue.ending(p.call); {
	case all != nil:
		return false
	case one:
		p.cause = errTaskCancelled
		return false
	}
	return true
}

// instance gives the program the instance that isolation demands.
func (l *launching) instance(ctx context.Context, p *program) (inst *instance, err error) {
	s := l.a.shelf
	if len(s.shared) > 0 {
		inst, err = s.get(ctx, s.shared[p.call.number%len(s.shared)])
	} else {
		inst, err = s.open(ctx, "program"+fmt.Sprint(p.task()), -1, nil)
	}
	if err == nil {
		l.mu.Lock()
		l.boots = 0
		l.mu.Unlock()
	}
	return inst, err
}

// bootFailed counts instances that did not come up. When it is too many in a row, the launch ends.
func (l *launching) bootFailed(why string) {
	l.mu.Lock()
	l.boots++
	boots := l.boots
	l.mu.Unlock()
	if boots >= maxBoots {
		l.a.queue.stop("instances do not start here: " + why)
		l.finish(errNoBoot)
	}
}

// isUp takes in that a program is alive.
func (l *launching) isUp(p *program) {
	l.mu.Lock()
	first := !p.up && l.progs[p.task()] == p
	if first {
		p.up = true
		l.alive++
		l.missing--
	}
	l.mu.Unlock()
	if !first {
		return
	}
	l.gate.Up(p.proc.PID())
	l.record(rundir.Record{Kind: rundir.KindUp, Up: &rundir.TaskUp{Task: p.task(), Attempt: p.attempt()}})
}

// step journals that the launch has come to a step.
func (l *launching) step(step rundir.Step, bytes int64) {
	l.mu.Lock()
	alive := l.alive
	l.mu.Unlock()
	l.record(rundir.Record{Kind: rundir.KindLaunch, Launch: &rundir.LaunchStep{Step: step, Alive: alive, Bytes: bytes}})
}

func (l *launching) journalStart(p *program) {
	l.record(rundir.Record{Kind: rundir.KindStart, At: p.began, Start: &rundir.TaskStart{
		Task: p.task(), Attempt: p.attempt(), Lane: -1, Instance: p.instanceID(),
	}})
}

func (p *program) instanceID() string {
	if p.inst == nil {
		return ""
	}
	return p.inst.id
}

// record journals something; At is now unless it is said.
func (l *launching) record(r rundir.Record) {
	if r.At == 0 {
		r.At = l.a.journal.Now()
	}
	if err := l.a.journal.Append(r); err != nil {
		l.a.Log.Error("writing a record of a launch", "err", err)
	}
}

// poke wakes whoever waits for c.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// values are what a program's arguments may speak of.
func (p *program) values() template.Values {
	return template.Values{Index: p.task(), Lane: p.lane}
}
