package timeline

import (
	"cmp"
	"slices"
	"time"

	"muster/internal/job"
)

// Life is the life of one instance, put together from its spans.
type Life struct {
	Agent    int
	Lane     int
	Instance string
	Began    time.Duration // its clone was begun (or, where nothing was cloned, its first program was started)
	Ready    time.Duration // programs could be started; 0 unless Came
	Gone     time.Duration // its taking down began, or the timeline ended
	Came     bool          // it was ready at all
	Open     bool          // not taken down when the timeline was made
}

// Lives returns the lives of the timeline's instances in the order in which
// they began. An instance name that comes again (an instance that died and was
// opened anew in its lane) is another life.
func (t *Timeline) Lives() []Life {
	idx := make([]int32, 0, len(t.Spans))
	for i := range t.Spans {
		if t.Spans[i].Instance != "" {
			idx = append(idx, int32(i))
		}
	}
	slices.SortFunc(idx, func(a, b int32) int {
		x, y := &t.Spans[a], &t.Spans[b]
		return cmp.Or(cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Instance, y.Instance),
			cmp.Compare(x.Start, y.Start), cmp.Compare(order(x.Phase), order(y.Phase)))
	})
	var lives []Life
	var b lifeBuilder
	for _, i := range idx {
		s := &t.Spans[i]
		if b.have && (s.Agent != b.life.Agent || s.Instance != b.life.Instance || b.endedBy(s)) {
			lives = append(lives, b.finish(t.End))
		}
		b.add(s)
	}
	if b.have {
		lives = append(lives, b.finish(t.End))
	}
	slices.SortStableFunc(lives, func(a, b Life) int { return cmp.Compare(a.Began, b.Began) })
	return lives
}

// order is the place of p in job.Phases; unknown phases come last.
func order(p job.Phase) int {
	switch p {
	case job.PhaseSubmitted:
		return 0
	case job.PhaseStaged:
		return 1
	case job.PhaseCloned:
		return 2
	case job.PhaseBooted:
		return 3
	case job.PhaseStarting:
		return 4
	case job.PhaseRunning:
		return 5
	case job.PhaseExited:
		return 6
	case job.PhaseDiscarded:
		return 7
	}
	return 8
}

// lifeBuilder gathers the spans of one life, in order of time.
type lifeBuilder struct {
	life   Life
	have   bool
	booted bool          // a booted span was seen
	closed bool          // a discarded span was seen
	last   time.Duration // the latest end of any span
	open   bool          // some span is open
}

// endedBy reports whether s belongs to the next life of that name.
func (b *lifeBuilder) endedBy(s *Span) bool {
	switch s.Phase {
	case job.PhaseCloned:
		return true
	case job.PhaseBooted:
		return b.booted || b.life.Came || b.closed
	case job.PhaseStarting, job.PhaseRunning:
		return b.closed
	}
	return false
}

func (b *lifeBuilder) add(s *Span) {
	if !b.have {
		b.have = true
		b.life = Life{Agent: s.Agent, Lane: s.Lane, Instance: s.Instance, Began: s.Start}
	}
	switch s.Phase {
	case job.PhaseBooted:
		b.booted = true
		if !s.Open && !s.State.Failure() {
			b.life.Came, b.life.Ready = true, s.End
		}
	case job.PhaseStarting, job.PhaseRunning:
		if !b.life.Came {
			b.life.Came, b.life.Ready = true, s.Start
		}
	case job.PhaseDiscarded:
		if !b.closed {
			b.closed, b.life.Gone = true, s.Start
		}
	}
	b.last = max(b.last, s.End)
	b.open = b.open || s.Open
}

func (b *lifeBuilder) finish(end time.Duration) Life {
	l := b.life
	switch {
	case b.closed:
	case b.open:
		l.Gone, l.Open = end, true
	default:
		l.Gone = b.last
	}
	l.Gone = max(l.Gone, l.Ready)
	*b = lifeBuilder{}
	return l
}
