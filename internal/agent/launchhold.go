package agent

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"muster/internal/rundir"
)

// meeting is how far the launch is on this node, and how the elements of a launch come
// together: each leaves a file in the run directory when all its programs are up, and looks for those
// of the others. The hold begins when all are there.
//
//	starting ──all of this node are up──▶ waiting ──those of all nodes are──▶ holding ──▶ finish
//	   ▲                                                                        │
//	   └────────────────────── --waves: some had no room yet ◀──────────────────┘
//
// In waves nodes meet once: the first wave of each, or all that it has, is held together with the others'. From the second
// on each node goes by itself, for nodes have different numbers of them, and nobody is to keep room that it does not use.
// But for met and wave this belongs to tend.
type meeting struct {
	state     meetingState
	met       atomic.Bool   // all elements' programs, or their first waves, are up; so it stays
	wave      atomic.Bool   // another wave begins
	since     time.Duration // when the hold began, by the clock that stands while the agent is suspended
	nextReady time.Time     // when to look next whether programs are ready
}

type meetingState int

const (
	meetStarting meetingState = iota
	meetWaiting
	meetHolding
	meetDown
)

// How often an agent looks whether the programs of all elements are up.
const (
	meetFirst = 200 * time.Millisecond
	meetMost  = 2 * time.Second
)

// advance brings the launch to its next step when it is time for it.
func (l *launching) advance(ctx context.Context) {
	m := &l.meeting
	if m.state == meetDown && m.wave.CompareAndSwap(true, false) {
		m.state = meetStarting
	}
	if m.state == meetStarting && (l.allUp() || l.gate.WaveUp()) {
		l.step(rundir.StepUp, l.taken())
		l.a.Log.Info("up", "room", l.gate.Decision().Line())
		m.state = meetWaiting
		if l.a.own.Elements > 1 && !m.met.Load() {
			go l.meet(ctx) // the run directory may hang; it ends with ctx, or with the meeting
		} else {
			m.met.Store(true)
		}
	}
	if m.state == meetWaiting && m.met.Load() {
		l.step(rundir.StepHold, 0)
		m.state, m.since = meetHolding, l.a.pause.running()
	}
	if m.state == meetHolding && l.want.Hold != nil && l.a.pause.running()-m.since >= *l.want.Hold {
		switch {
		case l.allUp():
			m.state = meetDown
			l.finish(nil)
		case l.gate.Size() > 0:
			m.state = meetDown
			go l.nextWave(ctx) // tend has to see its programs end
		} // else: some are being started again (--restart), and all are to be alive in the end
	}
}

// allUp reports whether every program of this node is alive, or has ended for good.
func (l *launching) allUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing <= 0
}

// lostEvery is how often an agent looks whether those that it waits for are alive.
const lostEvery = 10 * time.Second

// meet tells the other elements that all programs of this one are up, or its first wave, and waits
// until they all have said so, or are gone: the programs of a lost node will never be up.
func (l *launching) meet(ctx context.Context) {
	a := l.a
	told, watch, lost := false, a.run.NewWatch(a.machine, a.Patience), 0
	var look time.Time // for the lost; not at once: most launches need not ask
	for wait := meetFirst; ; wait = min(wait*3/2, meetMost) {
		if !told {
			err := a.run.TellUp(a.journal.ID())
			if told = err == nil; !told {
				a.Log.Warn("a launch's elements meet", "err", err)
			}
		}
		up, err := a.run.UpElements(a.Generation)
		if now := time.Now(); err == nil && now.After(look) {
			if !look.IsZero() {
				lost = l.lost(watch, up)
			}
			look = now.Add(lostEvery)
		}
		switch {
		case err != nil:
			a.Log.Warn("a launch's elements meet", "err", err)
		case told && len(up)+lost >= a.own.Elements:
			if lost > 0 && slices.Min(slices.Collect(maps.Keys(up))) == a.Element { // one word is enough
				a.note("%d of %d nodes are lost: the hold begins without them", lost, a.own.Elements)
			}
			l.meeting.met.Store(true)
			return
		}
		select {
		case <-time.After(wait):
		case <-l.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lost counts the elements that are not up and whose agents are gone. One that has not
// begun yet is waited for.
func (l *launching) lost(watch *rundir.Watch, up map[int]bool) (n int) {
	for element := 1; element <= l.a.own.Elements; element++ {
		if up[element] {
			continue
		}
		gone, err := watch.Gone(l.a.Generation, element)
		if err != nil {
			l.a.Log.Warn("a launch's elements meet", "err", err)
		}
		if gone {
			n++
		}
	}
	return n
}

// taken is how much memory the launch has taken on this node so far; 0: not known.
func (l *launching) taken() int64 {
	free := freeMemory()
	if l.free == 0 || free == 0 {
		return 0
	}
	return max(l.free-free, 0)
}

// freeMemory is what the kernel says can be had without swapping (MemAvailable in
// proc_meminfo(5)); 0: it does not say.
func freeMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
