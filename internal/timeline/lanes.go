package timeline

import (
	"cmp"
	"slices"
	"time"

	"muster/internal/job"
)

// LaneID names a lane of an agent.
type LaneID struct {
	Agent int // element, from 1
	Lane  int // from 0; −1: shared by the node's lanes
}

// Compare orders lanes by agent, then by number.
func (a LaneID) Compare(b LaneID) int {
	return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Lane, b.Lane))
}

// LaneUse says what a lane did while its agent had lanes open.
type LaneUse struct {
	LaneID
	Programs int           // begun in it
	Window   time.Duration // from the first to the last thing in any of its agent's lanes
	Running  time.Duration // at least one program ran
	Opening  time.Duration // instances were cloned and booted (sum)
	Closing  time.Duration // instances were taken down (sum)
	Last     time.Duration // when its last program ended, since Origin
}

// Busy is the fraction of the window in which a program ran, 0 to 1.
func (u LaneUse) Busy() float64 {
	if u.Window <= 0 {
		return 0
	}
	return float64(u.Running) / float64(u.Window)
}

// LaneUses returns the use of every lane in which a program ran or an instance
// was opened for that lane, by agent and lane. Lanes that did nothing at all
// are not in a timeline.
func (t *Timeline) LaneUses() []LaneUse {
	type window struct{ from, to time.Duration }
	use := map[LaneID]*LaneUse{}
	running := map[LaneID][]Interval{}
	windows := map[int]*window{}
	for i := range t.Spans {
		sp := &t.Spans[i]
		if order(sp.Phase) < order(job.PhaseCloned) {
			continue
		}
		w := windows[sp.Agent]
		if w == nil {
			w = &window{sp.Start, sp.End}
			windows[sp.Agent] = w
		}
		w.from, w.to = min(w.from, sp.Start), max(w.to, sp.End)
		if sp.Lane < 0 && sp.Phase != job.PhaseRunning {
			continue
		}
		id := LaneID{sp.Agent, sp.Lane}
		u := use[id]
		if u == nil {
			u = &LaneUse{LaneID: id}
			use[id] = u
		}
		switch sp.Phase {
		case job.PhaseCloned, job.PhaseBooted:
			u.Opening += sp.End - sp.Start
		case job.PhaseDiscarded:
			u.Closing += sp.End - sp.Start
		case job.PhaseRunning:
			u.Last = max(u.Last, sp.End)
			running[id] = append(running[id], Interval{sp.Start, sp.End})
		}
	}
	for sp := range t.Programs() {
		use[LaneID{sp.Agent, sp.Lane}].Programs++
	}
	out := make([]LaneUse, 0, len(use))
	for id, u := range use {
		w := windows[id.Agent]
		u.Window = w.to - w.from
		u.Running = covered(running[id])
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b LaneUse) int { return a.LaneID.Compare(b.LaneID) })
	return out
}

// covered is the length of the union of the intervals; it sorts them.
func covered(iv []Interval) time.Duration {
	slices.SortFunc(iv, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	var sum, end time.Duration
	for i, v := range iv {
		if i == 0 || v.From > end {
			sum += v.To - v.From
			end = v.To
		} else if v.To > end {
			sum += v.To - end
			end = v.To
		}
	}
	return sum
}
