package admit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"muster/internal/node"
	"muster/internal/ui/human"
)

// Refusal says that the programs cannot be alive at the same time here, with the
// arithmetic (exit code 3).
type Refusal struct {
	Decision Decision
	Why      string // what was met while starting; "": the decision says it
}

func (r *Refusal) Error() string {
	if r.Why != "" {
		return r.Why
	}
	return r.Decision.Line()
}

// Code is what `muster explain` expands.
const Code = "no-room"

// ErrorCode is Code.
func (r *Refusal) ErrorCode() string { return Code }

// Hint says how the limit is raised.
func (r *Refusal) Hint() string { return r.Decision.Hint() }

// Machine is what a Gate looks at.
type Machine interface {
	Room() node.Room                  // everything; may take a while
	Pulse() (node.Pulse, error)       // memory, cheaply
	Own() (node.Tree, error)          // what the launch's own processes take
	Footprint(pid int) (int64, error) // of one process; dear
}

// Options are what a Gate is to hold to.
type Options struct {
	Programs   int
	Least      Need          // of one more program, in any case
	Fixed      Need          // of servers that are yet to come
	Floor      int64         // memory that stays free; 0: see Floor
	Waves      bool          // what does not fit at once goes in waves
	Allocation node.Bound    // what a scheduler has given; no limit: none
	Patience   time.Duration // how long memory may stay short before that is an answer; 0: 10 s
	Say        func(string)  // told once of each thing worth a note; may be nil
}

const (
	beat        = 100 * time.Millisecond // between two looks at memory
	settled     = time.Second            // after which a program has touched most of what it starts with
	barrierEnd  = 64                     // until so many are up, starts wait for what is measured
	hardPressed = 20                     // percent of the time in which everything waits for memory
	samples     = 4                      // programs whose own pages are looked at, each time
	fullLooks   = 256                    // beyond so many programs only memory is measured
)

// Gate is what starters pass before each start. It lets few through first, measures
// what they take, and refuses, or closes the wave, when the rest cannot fit; then it
// holds starts back while memory is below the floor. Its methods may be called by
// several goroutines at once. One goroutine reads the machine; Close ends it.
type Gate struct {
	machine Machine
	o       Options
	survey  Survey
	cancel  context.CancelFunc
	done    chan struct{}
	kick    chan struct{} // something may be measured now

	mu       sync.Mutex
	changed  chan struct{} // closed, and made anew, when starters are to look again
	started  int           // of this wave
	up       int
	pids     []int
	size     int  // of a wave; 0: not known yet, or all fit
	between  bool // a wave is up, and the next has not begun
	nextLook int  // when so many are up, it is measured; 0: no more
	allowed  int  // starts before that
	each     Need
	decision Decision
	last     Look // the newest
	free     int64
	counted  int // programs whose memory is in free
	pressed  float64
	history  []beatOf
	short    time.Time // since when; zero: it is not
	refusal  *Refusal
	err      error // reading the machine failed
}

// beatOf is how many had been started at some time.
type beatOf struct {
	at      time.Time
	started int
}

// Open looks at the machine and judges by what one program takes at least. It
// returns a *Refusal when not even that fits (without Waves), or nothing at all does.
func Open(m Machine, o Options) (*Gate, error) {
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	g := &Gate{machine: m, o: o, changed: make(chan struct{}), done: make(chan struct{}), kick: make(chan struct{}, 1)}
	g.survey = Survey{Before: Sight{Room: m.Room()}, Least: o.Least}
	g.conclude(Look{Each: o.Least, How: "at least"})
	if g.refusal != nil {
		return nil, g.refusal
	}
	g.nextLook, g.allowed = firstLook, firstLook
	if o.Programs < firstLook {
		g.nextLook, g.allowed = 0, o.Programs
	}
	return g, nil
}

// Begin says that what comes before the first program (servers) is up by now: what is
// used from here on is the programs'. It is called once, and starts the reading, which
// ends with Close.
func (g *Gate) Begin() {
	before := g.see()
	ctx, cancel := context.WithCancel(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel = cancel
	g.survey.Before = before
	g.o.Fixed = Need{}
	g.history = []beatOf{{time.Now(), 0}}
	g.weigh(before.Room.Memory)
	go g.run(ctx)
}

// Close ends the reading. Wait is not to be called any more.
func (g *Gate) Close() {
	if g.cancel != nil {
		g.cancel()
		<-g.done
	}
}

// Wait returns nil when one more program may be started; the caller then owes a
// call of Up when it is up, and of Gone when it has ended. While a wave is full it waits for the
// next one. Errors: *Refusal, ctx.Err(), or that the machine cannot be read.
func (g *Gate) Wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		pass, err := g.pass()
		changed := g.changed
		g.mu.Unlock()
		if pass || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass decides for one starter; called with the lock held.
func (g *Gate) pass() (bool, error) {
	switch {
	case g.refusal != nil:
		return false, g.refusal
	case g.err != nil:
		return false, g.err
	case g.between, g.full(), g.started >= g.allowed, !g.roomy():
		return false, nil
	}
	g.started++
	return true, nil
}

// roomy reports whether one more fits above the floor, those that are coming up
// counted in full.
func (g *Gate) roomy() bool {
	coming := int64(g.started - g.counted + 1)
	return g.pressed < hardPressed && g.free >= coming*g.each.Memory
}

// Up says that a program that Wait let through is up, and which process it is.
func (g *Gate) Up(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up++
	if g.pids = append(g.pids, pid); len(g.pids) > samples {
		g.pids = g.pids[1:]
	}
	if g.nextLook > 0 && g.up >= g.nextLook {
		select {
		case g.kick <- struct{}{}:
		default:
		}
	}
}

// Gone says that a program that Wait let through has ended, or could not be started;
// up: it was up.
func (g *Gate) Gone(up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started = max(0, g.started-1)
	if up {
		g.up = max(0, g.up-1)
	}
	g.counted = min(g.counted, g.started)
	g.wake()
}

// WaveUp reports whether a wave has all the programs that fit, and they are up: hold them, take
// them down, and call Next. Nothing is started before that. Never without Options.Waves.
func (g *Gate) WaveUp() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.between = g.between || g.full() && g.up >= g.started
	return g.between
}

func (g *Gate) full() bool { return g.size > 0 && g.started >= g.size }

// Next begins another wave: everything of the one before is gone.
func (g *Gate) Next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started, g.up, g.counted, g.pids, g.short = 0, 0, 0, nil, time.Time{}
	g.nextLook, g.allowed, g.between = 0, g.o.Programs, false
	g.history = g.history[:0]
	g.wake()
}

// Size is how many programs a wave has at most; 0 while all are thought to fit at once.
func (g *Gate) Size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.size
}

// Decision is the latest arithmetic.
func (g *Gate) Decision() Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.decision
}

func (g *Gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// run is the one reader of the machine.
func (g *Gate) run(ctx context.Context) {
	defer close(g.done)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.kick:
		case <-ticker.C:
		}
		g.mu.Lock()
		up := g.up
		g.mu.Unlock()
		p, err := g.machine.Pulse()
		g.mu.Lock()
		if err != nil {
			g.err = fmt.Errorf("looking at this machine's memory: %w", err)
		} else {
			g.beat(p, up)
		}
		look := g.due()
		g.wake()
		g.mu.Unlock()
		if look {
			g.look()
		}
	}
}

// beat takes in what was just read; up were up before that.
func (g *Gate) beat(p node.Pulse, up int) {
	now := time.Now()
	g.pressed = p.Pressure
	for len(g.history) > 1 && now.Sub(g.history[1].at) >= settled {
		g.history = g.history[1:]
	}
	g.counted = min(up, g.started)
	if len(g.history) > 0 && now.Sub(g.history[0].at) >= settled { // slow ones have their memory, too
		g.counted = min(max(g.counted, g.history[0].started), g.started)
	}
	g.history = append(g.history, beatOf{now, g.started})
	g.weigh(p.Memory)
	waiting := g.started < g.allowed && !g.full() && !g.between
	switch {
	case !waiting || g.roomy():
		g.short = time.Time{}
	case g.short.IsZero():
		g.short = now
	case now.Sub(g.short) >= g.o.Patience:
		g.overrun(p.Memory)
	}
}

// weigh finds how much memory is free above the floor, by the tightest bound.
func (g *Gate) weigh(bounds []node.Bound) {
	b, free := g.tightest(bounds)
	g.free = max(0, free-Floor(b, g.o.Floor))
}

func (g *Gate) tightest(bounds []node.Bound) (node.Bound, int64) {
	var tightest node.Bound
	var least int64
	for i, b := range g.allot(node.Room{Memory: bounds}, g.counted).Memory {
		if left := b.Free() - Floor(b, g.o.Floor); i == 0 || left < least {
			tightest, least = b, left
		}
	}
	return tightest, tightest.Free()
}

// allot adds the scheduler's allocation to a room in which so many programs are up.
func (g *Gate) allot(room node.Room, up int) node.Room {
	if b := g.o.Allocation; b.Limit > 0 {
		b.Used += int64(up) * g.each.Memory
		room.Memory = append(room.Memory[:len(room.Memory):len(room.Memory)], b)
	}
	return room
}

// overrun: memory stays short, whatever was measured before.
func (g *Gate) overrun(bounds []node.Bound) {
	if g.o.Waves && g.up > 0 {
		g.size, g.short = g.started, time.Time{}
		g.o.Say(fmt.Sprintf("memory is at its floor with %s up: they are a wave", human.Plural(g.up, "program")))
		return
	}
	b, _ := g.tightest(bounds)
	why := fmt.Sprintf("%s of %s are up, and ", human.Count(g.up), human.Plural(g.o.Programs, "program"))
	if g.pressed >= hardPressed {
		why += fmt.Sprintf("memory is under pressure: everything waits for it %.0f %% of the time", g.pressed)
	} else {
		c := Check{Resource: Memory, Bound: b, Each: g.each.Memory, Keep: Floor(b, g.o.Floor)}
		more := g.o.Programs - g.started
		why += fmt.Sprintf("memory stays at its floor: %s more × %s = %s, and %s", human.Count(more), memory(c.Each), memory(int64(more)*c.Each), c.room())
	}
	if !g.o.Waves {
		why += "; --waves starts as many at a time as fit"
	}
	g.refusal = &Refusal{Decision: g.decision, Why: why}
}

// due reports whether it is time to measure: so many are up, or have had time enough.
func (g *Gate) due() bool {
	return g.nextLook > 0 && max(g.up, g.counted) >= g.nextLook
}

// look measures what the programs take and judges anew.
func (g *Gate) look() {
	g.mu.Lock()
	up, pids := max(g.up, g.counted), slices.Clone(g.pids)
	g.mu.Unlock()
	var now Sight
	if up <= fullLooks {
		now = g.see()
	} else if p, err := g.machine.Pulse(); err == nil {
		now.Room.Memory = p.Memory
		now.Own = g.own()
	}
	for _, pid := range pids {
		if n, err := g.machine.Footprint(pid); err == nil { // it may have ended
			now.Pss = append(now.Pss, n)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nextLook == 0 || g.between { // the wave has been taken down meanwhile
		return
	}
	g.conclude(g.survey.Look(up, now))
	if g.nextLook *= 2; g.nextLook > g.o.Programs {
		g.nextLook = 0
	}
	if g.allowed = g.nextLook; g.allowed == 0 || g.allowed > barrierEnd {
		g.allowed = g.o.Programs
	}
	g.wake()
}

func (g *Gate) see() Sight { return Sight{Room: g.machine.Room(), Own: g.own()} }

func (g *Gate) own() *node.Tree {
	t, err := g.machine.Own()
	if err != nil { // then the machine alone tells
		return nil
	}
	return &t
}

// conclude judges anew and draws the consequence.
func (g *Gate) conclude(l Look) {
	last := g.last
	g.last, g.each = l, l.Each
	d := Judge(Ask{Programs: g.o.Programs, Each: l.Each, Fixed: g.o.Fixed, Floor: g.o.Floor, How: l.How}, g.allot(g.survey.Before.Room, 0))
	g.decision = d
	if d.OK() || !l.Bears(d, last) {
		return
	}
	waves := Waves(d.Programs, d.AtOnce)
	if !g.o.Waves || len(waves) == 0 {
		g.refusal = &Refusal{Decision: d}
		return
	}
	if g.size == 0 || waves[0] < g.size {
		g.size = waves[0]
		g.o.Say(d.WavesLine())
	}
}
