package agent

import (
	"context"
	"sync/atomic"
	"time"

	"muster/internal/clock"
	"muster/internal/rundir"
)

// How long comparing clocks may go on, and how often.
const (
	compareLimit  = 10 * time.Second // of one comparison, in the background
	goodbyeLimit  = 2 * time.Second  // that the agent's end waits for the last one
	compareAgain  = 10 * time.Second // after less than that a clock has not drifted anywhere
	offerFirst    = 50 * time.Millisecond
	offerLast     = 30 * time.Second // between looks for a listener
	triesPerOffer = 3
)

// timing compares this node's clock with the submitting host's and tells a
// listener, where there is one, how the launch goes. It does so beside everything else: no
// task ever waits for it, and when it fails, a report says so.
type timing struct {
	a       *agent
	files   bool // compare through files: the node is another machine
	socket  bool // look for a listener
	started atomic.Int64
	spoken  atomic.Int64
	came    chan launchEvent
	quit    chan struct{}
	looking context.Context // of look, until quit
	hurry   context.CancelFunc
	ended   chan struct{}

	// Of the goroutine.
	link    *clock.Link
	untold  []launchEvent
	tries   map[string]int // by the token of an offer
	failure string         // why there is no link
	met     bool           // there was one
	looked  time.Time
}

type launchEvent struct {
	name string
	at   time.Time
}

// newTiming begins. sub is the submission that the agent belongs to.
func newTiming(a *agent, sub rundir.Submission) *timing {
	boot := a.journal.Start().Boot
	t := &timing{
		a: a, files: boot == "" || boot != sub.Clock.Boot, socket: a.spec.Timing == string(clock.Socket),
		came: make(chan launchEvent, 4+maxSaid), quit: make(chan struct{}), ended: make(chan struct{}), tries: map[string]int{},
	}
	t.untold = append(t.untold, launchEvent{clock.EventUp, a.journal.Start().Began})
	t.looking, t.hurry = context.WithCancel(context.Background())
	go t.run()
	return t
}

// now is the clock that the journal counts by: set once, it goes on evenly,
// whatever is done to the wall clock meanwhile.
func (t *timing) now() time.Time { return t.a.journal.Start().Began.Add(t.a.journal.Now()) }

// programStarted is told of each program. It does not wait.
func (t *timing) programStarted() {
	n := t.started.Add(1)
	var name string
	switch n {
	case 1:
		name = clock.EventFirst
	case int64(t.a.share.Lanes):
		name = clock.EventLanes
	default:
		return
	}
	t.happened(name)
}

// maxSaid bounds how many programs' first words an agent tells of: a connection may say only so much.
const maxSaid = 256

// said is told when a program has written something for the first time. It does not wait.
func (t *timing) said(task int) {
	if t.spoken.Add(1) <= maxSaid {
		t.happened(clock.Said(task))
	}
}

func (t *timing) happened(name string) {
	select {
	case t.came <- launchEvent{name, t.now()}:
	default: // it is told to nobody
	}
}

// close has the last comparison made, and ends. It waits for a hung file system
// or network no longer than goodbyeLimit.
func (t *timing) close() {
	close(t.quit)
	t.hurry()
	select {
	case <-t.ended:
	case <-time.After(goodbyeLimit):
		t.a.Log.Warn("comparing clocks takes too long; left")
	}
}

func (t *timing) run() {
	defer close(t.ended)
	if t.socket {
		t.look(t.looking)
		t.tell()
	}
	t.throughFiles()
	wait := offerFirst
	for {
		if t.socket && t.link == nil {
			t.look(t.looking)
		}
		t.tell()
		var again <-chan time.Time
		if t.socket && t.link == nil {
			again = time.After(wait)
			wait = min(wait*3/2, offerLast)
		}
		select {
		case e := <-t.came:
			t.untold = append(t.untold, e)
		case <-again:
		case <-t.quit:
			t.goodbye()
			return
		}
	}
}

func (t *timing) throughFiles() {
	if !t.files {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), compareLimit)
	defer done()
	t.record(clock.ThroughFiles(ctx, t.a.run.StampFolder(), rundir.StampName(t.a.journal.ID().String()), t.now))
	t.looked = time.Now()
}

// look tries to reach a listener, the newest first.
func (t *timing) look(ctx context.Context) {
	offers, err := t.a.run.ClockOffers()
	if err != nil {
		t.failure = err.Error()
		return
	}
	ctx, done := context.WithTimeout(ctx, compareLimit)
	defer done()
	for _, o := range offers {
		if t.tries[o.Token] >= triesPerOffer {
			continue
		}
		t.tries[o.Token]++
		link, err := clock.Dial(ctx, o, t.a.journal.ID().String(), t.now)
		if err != nil {
			if ctx.Err() != nil {
				t.tries[o.Token]-- // the agent ends: there is another look then
				return
			}
			t.failure = firstLine(err)
			continue
		}
		t.link, t.met = link, true
		t.compare()
		return
	}
}

// compare asks the listener the time. A link that fails is given up.
func (t *timing) compare() {
	r, err := t.link.Compare()
	if err != nil {
		t.drop(err)
		return
	}
	t.record(r)
}

func (t *timing) tell() {
	for t.link != nil && len(t.untold) > 0 {
		if err := t.link.Tell(t.untold[0].name, t.untold[0].at); err != nil {
			t.drop(err)
			return
		}
		t.untold = t.untold[1:]
	}
}

func (t *timing) drop(why error) {
	t.link.Close()
	t.link, t.failure = nil, firstLine(why)
}

// goodbye compares once more: what clocks have drifted apart meanwhile lies between.
func (t *timing) goodbye() {
	if t.files && time.Since(t.looked) > compareAgain {
		t.throughFiles()
	}
	if !t.socket {
		return
	}
	if t.link == nil && t.failure == "" { // the run was over before it had looked
		t.look(context.Background())
	} else if t.link != nil {
		t.compare()
	}
	for more := true; more; {
		select {
		case e := <-t.came:
			t.untold = append(t.untold, e)
		default:
			more = false
		}
	}
	t.untold = append(t.untold, launchEvent{clock.EventEnd, t.now()})
	t.tell()
	if t.link != nil {
		t.link.Close()
	}
	if !t.met {
		why := t.failure
		if why == "" {
			why = "nobody listened: no command followed the run on the host that submitted it"
		}
		t.record(clock.Reading{Method: clock.Socket, Why: why})
	}
}

func (t *timing) record(r clock.Reading) {
	if err := t.a.journal.Append(rundir.Record{Kind: rundir.KindClock, At: t.a.journal.Now(), Clock: &r}); err != nil {
		t.a.Log.Warn("writing how clocks compare", "err", err)
	}
}
