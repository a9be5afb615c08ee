package timeline

import (
	"iter"
	"time"

	"muster/internal/job"
)

// Programs gives the spans of programs that ran or run, one each: where one
// call of a program served several tasks, their spans are the same time in the
// same lane, and the first of them stands for all.
func (t *Timeline) Programs() iter.Seq[*Span] {
	return func(yield func(*Span) bool) {
		at := time.Duration(-1)
		begun := map[LaneID]bool{} // lanes in which a program was started at that moment
		for i := range t.Spans {
			s := &t.Spans[i]
			if s.Phase != job.PhaseRunning {
				continue
			}
			if s.Start != at {
				at = s.Start
				clear(begun)
			}
			if s.Lane >= 0 { // a node's programs are many by nature
				id := LaneID{s.Agent, s.Lane}
				if begun[id] {
					continue
				}
				begun[id] = true
			}
			if !yield(s) {
				return
			}
		}
	}
}
